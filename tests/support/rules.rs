//! Rules of tests about remedies in a cluster, said in short: each is about the Deployment that its alert names.

use std::fmt::Write as _;

/// A rule that looks at the workload, with these remedies in YAML's short form.
pub fn rule(name: &str, alertname: &str, remedies: &[&str]) -> String {
    rule_seeing(name, alertname, "{ name: workload, k8s.workload: {} }", remedies)
}

/// A rule with other diagnostics, or with none.
pub fn rule_seeing(name: &str, alertname: &str, diagnostics: &str, remedies: &[&str]) -> String {
    let mut rule = format!(
        "---\n\
         apiVersion: smokejumper.dev/v1\n\
         kind: ResponseRule\n\
         metadata: {{ name: {name} }}\n\
         spec:\n  \
         matchers: ['alertname=\"{alertname}\"']\n  \
         severity: P1\n  \
         target: {{ kind: Deployment, namespace: '{{{{ labels.namespace }}}}', name: '{{{{ labels.deployment }}}}' }}\n  \
         diagnostics: [{diagnostics}]\n  \
         remedies:\n"
    );
    for remedy in remedies {
        writeln!(rule, "    - {remedy}").expect("a text takes whatever is written");
    }
    rule
}

/// A remedy that runs alone, as its action lets it, and is looked at afterwards.
pub fn remedy(name: &str, action: &str, verify: &str) -> String {
    format!("{{ name: {name}, tier: T1, action: {{ {action} }}, verify: {{ {verify} }} }}")
}

/// The undo of a rollout, which asks people first.
pub fn undo(when: &str, verify: &str) -> String {
    let checks = "'findings.workload.unavailable == 0', 'findings.workload.rollout == \"done\"'";
    format!(
        "{{ name: undo{when}, action: {{ k8s.rollout_undo: {{}} }}, \
         verify: {{ {verify}, checks: [{checks}], onFail: rollback }} }}"
    )
}

/// A ladder of which no rung can help: a scale that is set back, and the restart of another workload, so that the first
/// one's own rollout does not hold it up. `more` and `restart` say how long each is looked at.
pub fn hopeless_ladder(more: &str, restart: &str) -> String {
    const NEVER: &str = "checks: ['findings.workload.desired > 100']";
    let more = remedy(
        "more",
        "k8s.scale: { replicas: 5, min: 1, max: 6 }",
        &format!("{more}, {NEVER}, onFail: rollback"),
    );
    let restart =
        remedy("restart", "k8s.rollout_restart: { name: web }", &format!("{restart}, {NEVER}, onFail: next"));
    rule("ladder", "Ladder", &[&more, &restart])
}

/// A rule that scales a workload which an autoscaler owns, in one of the three ways, with what follows it.
pub fn scaling(name: &str, alertname: &str, hpa: &str, next: &[&str]) -> String {
    let more = format!("{{ name: more, tier: T1, action: {{ k8s.scale: {{ delta: 2, max: 8{hpa} }} }} }}");
    let remedies: Vec<&str> = std::iter::once(more.as_str()).chain(next.iter().copied()).collect();
    rule_seeing(name, alertname, "", &remedies)
}
