//! What is shown below the cards, which have room for a few lines: evidence at length, and charts.

use super::draft::Draft;
use crate::diagnosis::Finding;
use crate::notification::Notice;

/// Shows evidence of many lines, and how values went, below each card.
pub(super) fn evidence(draft: &mut Draft) {
    let has_more =
        |finding: &Finding| finding.chart.is_some() || finding.is_known() && finding.has_several_lines();
    if draft.findings.iter().any(has_more) {
        everywhere(draft, &Notice::Evidence);
    }
}

/// Shows how values went below each card once more, after something was done about them.
pub(super) fn charts(draft: &mut Draft) {
    if draft.findings.iter().any(|finding| finding.chart.is_some()) {
        everywhere(draft, &Notice::Charts);
    }
}

fn everywhere(draft: &mut Draft, notice: &Notice) {
    for destination in draft.slack_destinations() {
        draft.notify(&destination, notice.clone());
    }
}
