//! Remedies over real HTTP: helping, refused, failing and lost.

use super::*;
use crate::sandbox::prometheus::now_seconds;
use crate::sandbox::test_support::mk_client;

const PATH: &str = "/waf/rate-limit";

async fn mk_remedies() -> (RemedySandbox, Course) {
    let course = Course::default();
    course.begin(now_seconds() - 1_000.0);
    let remedies = vec![Remedy::new(PATH, "limits each client to ten requests a second", &course)];
    (RemedySandbox::start(0, remedies).await.expect("a free port"), course)
}

async fn post(remedies: &RemedySandbox, path: &str) -> u16 {
    let request = mk_client().post(format!("{}{path}", remedies.base_url())).bearer_auth(remedies.token());
    request.body("{}").send().await.expect("an answer").status().as_u16()
}

fn is_remedied(course: &Course) -> bool {
    course.intensity(now_seconds() + 60.0, 1.0, 1.0) < 0.5
}

#[tokio::test]
async fn a_remedy_turns_the_course_once_and_can_be_undone() {
    let (remedies, course) = mk_remedies().await;
    assert!(!is_remedied(&course));
    assert_eq!((post(&remedies, PATH).await, post(&remedies, PATH).await), (200, 200));
    assert!(is_remedied(&course));
    assert_eq!(remedies.applied(), [PATH]);
    assert_eq!(post(&remedies, "/waf/rate-limit/undo").await, 200);
    assert!(remedies.applied().is_empty());
    let effects: Vec<_> = remedies.calls().entries().iter().map(|call| call.what.took_effect).collect();
    assert_eq!(effects, [true, false, true]);
}

#[tokio::test]
async fn without_the_token_or_with_another_method_nothing_happens() {
    let (remedies, course) = mk_remedies().await;
    let url = format!("{}{PATH}", remedies.base_url());
    let status = |request: reqwest::RequestBuilder| async {
        request.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(status(mk_client().post(&url)).await, 401);
    assert_eq!(status(mk_client().post(&url).bearer_auth("wrong")).await, 401);
    assert_eq!(status(mk_client().get(&url).bearer_auth(remedies.token())).await, 405);
    assert_eq!(post(&remedies, "/unheard/of").await, 404);
    assert!(!is_remedied(&course));
    let recorded = format!("{:?}", remedies.calls().entries());
    assert!(recorded.contains("401") && !recorded.contains(remedies.token()));
}

#[tokio::test]
async fn a_remedy_may_fail_to_help_and_its_answer_may_be_lost() {
    let (remedies, course) = mk_remedies().await;
    remedies.set_works(false);
    assert_eq!(post(&remedies, PATH).await, 200);
    assert!(!is_remedied(&course), "it answered well and did not help");
    remedies.set_works(true);
    remedies.reset(PATH);
    remedies.faults().next(PATH, Fault::status(502));
    assert_eq!(post(&remedies, PATH).await, 502);
    assert!(!is_remedied(&course));
    remedies.faults().next(PATH, Fault::dropped().after_effect());
    let request = mk_client().post(format!("{}{PATH}", remedies.base_url())).bearer_auth(remedies.token());
    assert!(request.send().await.is_err());
    assert!(is_remedied(&course), "done, but the caller cannot know");
}

#[tokio::test]
async fn health_status_and_metrics_tell_the_facts() {
    let (remedies, _) = mk_remedies().await;
    remedies.set_facts(|| {
        let fact = |name: &str, value| Fact { name: name.to_owned(), value };
        vec![fact("error_ratio", 0.125), fact("degraded", 1.0)]
    });
    let get = |path: &str| mk_client().get(format!("{}{path}", remedies.base_url()));
    let text = |request: reqwest::RequestBuilder| async {
        let response = request.send().await.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("text"))
    };
    assert_eq!(text(get("/health")).await, (200, r#"{"status":"degraded"}"#.to_owned()));
    remedies.set_healthy(false);
    assert_eq!(text(get("/health")).await.0, 503);
    assert!(text(get("/status.json")).await.1.contains(r#""error_ratio":0.125"#));
    assert!(text(get("/metrics")).await.1.contains("\npss_nano_error_ratio 0.125\n"));
}
