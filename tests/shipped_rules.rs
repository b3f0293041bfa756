//! The rules that come with the service, held to the kinds that this build has, to the published schemas, and to the
//! stories of the simulated world: each must find its evidence, choose the remedy that helps, and see that it helped.

use jiff::Timestamp;
use serde_json::{Value, json};
use smokejumper::domain::action::{ActionPlan, Repeatability};
use smokejumper::domain::alert::{Alert, AlertStatus};
use smokejumper::domain::catalog::{Catalog, EndpointOutline, ParamsCheck, Reference};
use smokejumper::domain::decision::{Candidate, Decision, decide};
use smokejumper::domain::diagnosis::{ConditionOutcome, Finding, FindingStatus};
use smokejumper::domain::fingerprint::Fingerprint;
use smokejumper::domain::guardrail::{Guardrail, GuardrailVerdict};
use smokejumper::domain::incident::{Incident, IncidentId, Opening};
use smokejumper::domain::rule::RuleMode;
use smokejumper::domain::survey::{Impact, SurveyStanding};
use smokejumper::engine::playbook::{KeptRule, Playbook};
use smokejumper::rules::book::UNMATCHED;
use smokejumper::rules::load::{Platforms, load};
use smokejumper::rules::schema::{KINDS, schema};
use smokejumper::rules::{BookSource, Known, RuleBook};
use smokejumper::sandbox::prometheus::promql::{self, Evaluator, Sample};
use smokejumper::sandbox::scenario::{self, Scenario};
use smokejumper::testing::format;
use smokejumper::{actions, diagnostics};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Arc;

const ENDPOINTS: [&str; 3] = ["waf-rate-limit", "cache-warm", "archive-logs"];

/// When the trouble of a story begins, in seconds since 1970.
const BEGINS: f64 = 1_800_000_000.0;

fn patterns() -> Vec<String> {
    vec![concat!(env!("CARGO_MANIFEST_DIR"), "/rules/**/*.yaml").to_owned()]
}

fn mk_catalog() -> Catalog {
    let outline = || EndpointOutline { method: "POST".to_owned(), repeatability: Repeatability::Idempotent };
    let endpoints = ENDPOINTS.map(|name| (name.to_owned(), outline()));
    Catalog::new(diagnostics::kinds(), actions::kinds()).with_endpoints(endpoints.into())
}

fn mk_known() -> Known {
    Known {
        endpoints: Some(ENDPOINTS.map(str::to_owned).into()),
        pagerduty_services: Some(["hsc-jit", "pss-nano"].map(str::to_owned).into()),
        ..Known::everything()
    }
}

fn mk_book() -> RuleBook {
    let source = BookSource {
        patterns: patterns(),
        catalog: Arc::new(mk_catalog()),
        known: mk_known(),
        default_policy: None,
    };
    RuleBook::open(source).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn they_load_without_a_word() {
    let set = load(&patterns(), &mk_catalog(), &mk_known()).unwrap_or_else(|errors| panic!("{errors}"));
    let warnings: Vec<String> = set.warnings().iter().map(|problem| problem.warning()).collect();
    assert_eq!(warnings, Vec::<String>::new());
    assert!(set.rules().len() >= 6 && set.policies().contains_key("pss-nano"));
}

#[test]
fn they_match_the_published_schemas() {
    let catalog = mk_catalog();
    let platforms = Platforms::read(&patterns());
    let mut seen = 0;
    for path in glob::glob(&patterns()[0]).expect("a pattern").flatten() {
        let text = std::fs::read_to_string(&path).expect("readable");
        for document in text.split("\n---\n") {
            let (document, problems) = platforms.fill_in(&path.display().to_string(), document);
            assert_eq!(problems, []);
            let document: Value = serde_saphyr::from_str(&document).expect("YAML");
            let kind = document["kind"].as_str().expect("a kind");
            // Tests of rules lie beside them, and have a schema of their own.
            let schema = match kind {
                format::KIND => format::schema(),
                _ => schema(kind, &catalog).expect("a schema"),
            };
            assert!(KINDS.contains(&kind) || kind == format::KIND, "{kind}");
            if let Err(error) = jsonschema::validate(&schema, &document) {
                panic!("{}: {kind} {}: {error}", path.display(), document["metadata"]["name"]);
            }
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen} documents");
}

/// The stories that the series alone tell, without a cluster.
fn told_by_series() -> impl Iterator<Item = Scenario> {
    scenario::all(1.0, 7).into_iter().filter(|scenario| scenario.in_cluster().is_none())
}

fn mk_alert(scenario: &Scenario) -> Alert {
    Alert {
        fingerprint: Fingerprint::of_labels(&scenario.alert.labels),
        status: AlertStatus::Firing,
        labels: scenario.alert.labels.clone(),
        annotations: scenario.alert.annotations.clone(),
        starts_at: Timestamp::UNIX_EPOCH,
        ends_at: None,
        generator_url: None,
    }
}

fn open(book: &RuleBook, kept: &KeptRule, alert: &Alert) -> Incident {
    let outline = book.outline(kept, alert);
    let opening = Opening {
        id: IncidentId("inc-1".to_owned()),
        key: book.key(kept, alert),
        rule: kept.rule.name.clone(),
        rule_hash: kept.hash.clone(),
        mode: Default::default(),
        severity: outline.severity,
        summary: outline.summary,
        runbook: outline.runbook,
        target: outline.target,
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
    };
    Incident::open(opening, Timestamp::UNIX_EPOCH)
}

/// What the rule's diagnostics would find `seconds` after the trouble began.
fn findings(
    book: &RuleBook,
    kept: &KeptRule,
    incident: &Incident,
    scenario: &Scenario,
    seconds: f64,
) -> Vec<Finding> {
    let evaluator = Evaluator { series: &scenario.series, now: BEGINS + seconds, speed: 1.0 };
    let ready = book.diagnostics(kept, incident);
    ready
        .into_iter()
        .map(|ready| {
            let params = ready.params.unwrap_or_else(|why| panic!("{}: {why}", ready.spec.name));
            let mut fields = serde_json::Map::new();
            if let Some(expr) = params["expr"].as_str() {
                let samples = samples(&evaluator, expr);
                assert!(!samples.is_empty(), "{} finds nothing: {expr}", ready.spec.name);
                fields.insert("count".to_owned(), json!(samples.len()));
                if let [only] = &samples[..] {
                    fields.insert("value".to_owned(), json!(only.value));
                    fields.insert("last".to_owned(), json!(only.value));
                }
            }
            let (name, kind) = (&ready.spec.name, &ready.spec.kind);
            let unknown = Finding::unknown(name, kind, "", Timestamp::UNIX_EPOCH, 1);
            Finding { status: FindingStatus::Known, fields, text: "as seen".to_owned(), ..unknown }
        })
        .collect()
}

fn samples(evaluator: &Evaluator<'_>, expr: &str) -> Vec<Sample> {
    let parsed = promql::parse(expr).unwrap_or_else(|error| panic!("{expr}: {error}"));
    match evaluator.value(&parsed).unwrap_or_else(|error| panic!("{expr}: {error}")) {
        promql::Value::Vector(samples) => samples,
        promql::Value::Scalar(value) => panic!("{expr} is the number {value}"),
    }
}

/// The ladder, with guardrails that let everything pass, and with objects that are as the rule takes them to be.
fn candidates(book: &RuleBook, kept: &KeptRule, incident: &Incident, findings: &[Finding]) -> Vec<Candidate> {
    let passes =
        GuardrailVerdict { guardrail: Guardrail::Pause, allowed: true, reason: "".into(), until: None };
    let mut candidates = book.candidates(kept, incident, findings);
    for candidate in candidates.iter_mut().filter(|candidate| candidate.survey == SurveyStanding::Missing) {
        let impact = Impact::on("Deployment");
        candidate.survey = SurveyStanding::Done { at: Timestamp::UNIX_EPOCH, impact, notes: Vec::new() };
    }
    for candidate in candidates.iter_mut().filter(|candidate| candidate.is_guarded()) {
        candidate.guardrails = vec![passes.clone()];
    }
    candidates
}

/// The remedy that is asked for, with its plan.
fn asked_for(
    book: &RuleBook,
    kept: &KeptRule,
    incident: &Incident,
    findings: &[Finding],
) -> Option<(String, ActionPlan)> {
    let candidates = candidates(book, kept, incident, findings);
    let decisions = decide(&candidates, RuleMode::Live);
    let at = decisions.iter().position(|decision| decision.decision == Decision::Ask)?;
    Some((candidates[at].remedy.clone(), candidates[at].plan.clone().expect("what is asked for is planned")))
}

#[test]
fn each_story_is_found_out_and_ended_by_the_right_remedy() {
    let book = mk_book();
    for (scenario, rule, remedy, endpoint) in told_by_series()
        .zip([
            ("pss-nano-high-error-rate", "limit-traffic", "waf-rate-limit"),
            ("pss-nano-high-latency", "warm-cache", "cache-warm"),
            ("pss-nano-disk-space", "archive-logs", "archive-logs"),
        ])
        .map(|(scenario, (rule, remedy, endpoint))| (scenario, rule, remedy, endpoint))
    {
        let alert = mk_alert(&scenario);
        let kept = book.matching(&alert).remove(0);
        assert_eq!(kept.rule.name, rule, "{}", scenario.name);
        let incident = open(&book, &kept, &alert);
        let policy = book.policy(&kept, incident.severity, &alert).expect("a policy");
        assert_eq!(policy.policy.name, "pss-nano-high");

        let calm = findings(&book, &kept, &incident, &scenario, -60.0);
        assert_eq!(
            asked_for(&book, &kept, &incident, &calm),
            None,
            "{rule}: nothing is asked for while all is well"
        );

        scenario.course.begin(BEGINS);
        let bad = findings(&book, &kept, &incident, &scenario, 1_800.0);
        let (name, plan) = asked_for(&book, &kept, &incident, &bad).expect("a remedy is asked for");
        assert_eq!((name.as_str(), plan.params["endpoint"].as_str()), (remedy, Some(endpoint)));
        let still_bad = book.checks(&kept, remedy, &incident, &bad);
        assert!(still_bad.contains(&ConditionOutcome::Fails), "{rule}: {still_bad:?}");

        scenario.course.remedy(BEGINS + 1_800.0);
        let healed = findings(&book, &kept, &incident, &scenario, 2_700.0);
        let checks = book.checks(&kept, remedy, &incident, &healed);
        assert!(checks.iter().all(|check| *check == ConditionOutcome::Holds), "{rule}: {checks:?}");

        let after = book.on_resolve(&kept, &incident, &healed);
        assert!(
            !after.is_empty() && after.iter().all(|candidate| candidate.plan.is_ok()),
            "{rule}: {after:?}"
        );
    }
}

#[test]
fn the_rules_for_any_service_find_their_evidence_too() {
    let book = mk_book();
    for scenario in told_by_series() {
        let mut alert = mk_alert(&scenario);
        let pss_nano = book.matching(&alert).remove(0);
        let any = book
            .current()
            .rules()
            .iter()
            .find(|kept| kept.rule.hash() != pss_nano.hash && kept.rule.matchers.matches(&alert.labels))
            .cloned()
            .expect("a rule for any service");
        alert.labels.insert("namespace".to_owned(), "pss-nano".to_owned());
        let incident = open(&book, &any, &alert);
        scenario.course.begin(BEGINS);
        let found = findings(&book, &any, &incident, &scenario, 1_800.0);
        let candidates = candidates(&book, &any, &incident, &found);
        let decisions = decide(&candidates, RuleMode::Live);
        assert!(
            decisions.iter().any(|decision| decision.decision == Decision::Run),
            "{}: {decisions:?}",
            any.rule.name
        );
        assert!(candidates.iter().all(|candidate| candidate.plan.is_ok()), "{candidates:?}");
        assert!(incident.runbook.is_some(), "the alert's own link is kept");
    }
}

/// An alert with these labels.
fn mk_alert_with(labels: BTreeMap<String, String>) -> Alert {
    Alert {
        fingerprint: Fingerprint::of_labels(&labels),
        status: AlertStatus::Firing,
        labels,
        annotations: BTreeMap::new(),
        starts_at: Timestamp::UNIX_EPOCH,
        ends_at: None,
        generator_url: None,
    }
}

/// The alerts that the tests of `deploy/prometheus` expect: `promtool` holds them to what Prometheus really makes.
fn alerts_of_the_shipped_alerting_rules() -> Vec<Alert> {
    let files = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus/tests/*.test.yaml");
    let tests = glob::glob(files).expect("a pattern").flat_map(|path| {
        let text = std::fs::read_to_string(path.expect("a path")).expect("a text");
        let file: Value = serde_saphyr::from_str(&text).expect("YAML");
        file["tests"].as_array().expect("tests").clone()
    });
    let mut alerts = Vec::new();
    for test in tests {
        for expected in test["alert_rule_test"].as_array().into_iter().flatten() {
            for alert in expected["exp_alerts"].as_array().into_iter().flatten() {
                let mut labels: BTreeMap<String, String> =
                    serde_json::from_value(alert["exp_labels"].clone()).expect("labels");
                let name = expected["alertname"].as_str().expect("a name").to_owned();
                labels.insert("alertname".to_owned(), name);
                alerts.push(mk_alert_with(labels));
            }
        }
    }
    alerts
}

fn mk_alert_of(labels: &[(&str, &str)]) -> Alert {
    mk_alert_with(labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

/// An alert of kube-prometheus as it comes: it knows the pod and not what the pod belongs to.
fn mk_alert_of_a_pod(name: &str) -> Alert {
    mk_alert_of(&[
        ("alertname", name),
        ("namespace", "shop"),
        ("pod", "cart-5d4-a"),
        ("container", "app"),
        ("reason", "CrashLoopBackOff"),
        ("severity", "warning"),
    ])
}

/// The alerts that people send themselves: by the commands that stand in the comments of the rules.
fn alerts_that_people_send() -> Vec<Alert> {
    let mut alerts = Vec::new();
    for path in glob::glob(&patterns()[0]).expect("a pattern").flatten() {
        let text = std::fs::read_to_string(&path).expect("readable");
        let comments = text.lines().filter_map(|line| line.trim_start().strip_prefix('#'));
        for command in comments.filter_map(|line| line.trim_start().strip_prefix("smokejumper send ")) {
            let mut words = command.split_whitespace();
            let mut labels = BTreeMap::new();
            while let Some(option) = words.next() {
                let mut value = || words.next().expect("a value").to_owned();
                match option {
                    "--alertname" => drop(labels.insert("alertname".to_owned(), value())),
                    "--label" => {
                        let label = value();
                        let (name, value) = label.split_once('=').expect("a label with its value");
                        labels.insert(name.to_owned(), value.to_owned());
                    }
                    // What it is for stands behind it.
                    _ => break,
                }
            }
            alerts.push(mk_alert_with(labels));
        }
    }
    alerts
}

/// Labels of alerts, and the values of a platform that stand in them there.
const NAMED: [(&str, &str); 5] = [
    ("deployment", "backend"),
    ("service", "backend"),
    ("service", "backend_service"),
    ("service", "frontend_service"),
    ("horizontalpodautoscaler", "backend_hpa"),
];

/// An alert, and the same as the targets of each platform would have it.
fn of_all_platforms(alert: &Alert) -> Vec<Alert> {
    let platforms = Platforms::read(&patterns());
    let value = |name: &str| {
        let (value, problems) = platforms.fill_in("", name);
        problems.is_empty().then_some(value)
    };
    let mut alerts = vec![alert.clone()];
    for platform in ["hsc-jit", "pss-nano"] {
        let named = |alert: &Alert, label: &str, name: &str| {
            let value = value(&format!("${{{platform}.{name}}}"))?;
            let mut labels = alert.labels.clone();
            *labels.get_mut(label)? = value;
            Some(mk_alert_with(labels))
        };
        let places = ["namespace", "cluster", "region"].map(|label| named(alert, label, label));
        for there in places.into_iter().flatten() {
            alerts.extend(NAMED.iter().filter_map(|(label, name)| named(&there, label, name)));
            alerts.push(there);
        }
    }
    alerts
}

#[test]
fn every_rule_is_reached_by_a_shipped_alert_and_can_ask_for_its_evidence() {
    let book = mk_book();
    let mut reached = BTreeSet::new();
    let of_a_pod = ["KubePodCrashLooping", "KubeContainerWaiting", "KubePodNotReady"].map(mk_alert_of_a_pod);
    let shipped =
        alerts_of_the_shipped_alerting_rules().iter().flat_map(of_all_platforms).collect::<Vec<_>>();
    for alert in shipped.into_iter().chain(of_a_pod).chain(alerts_that_people_send()) {
        for kept in book.matching(&alert) {
            let incident = open(&book, &kept, &alert);
            for ready in book.diagnostics(&kept, &incident) {
                assert!(ready.params.is_ok(), "{}: {:?}", kept.rule.name, ready.params);
            }
            reached.insert(kept.rule.name.clone());
        }
    }
    // Alerts without a rule of their own are told as the settings say.
    reached.remove(UNMATCHED);
    let shipped: BTreeSet<String> =
        book.current().rules().iter().map(|kept| kept.rule.name.clone()).collect();
    assert_eq!(reached, shipped);
}

#[test]
fn the_rule_of_a_platform_comes_before_the_one_for_any() {
    let book = mk_book();
    for (alertname, label, value, rule) in [
        ("HighErrorRate", "namespace", "pss-nano", "pss-nano-high-error-rate"),
        ("HighErrorRate", "namespace", "shop", "service-high-error-rate"),
        ("HighLatency", "namespace", "pss-nano", "pss-nano-high-latency"),
        ("HighLatency", "namespace", "shop", "service-high-latency"),
        ("DiskSpace", "namespace", "pss-nano", "pss-nano-disk-space"),
        ("DiskSpace", "instance", "db-1", "node-disk-space"),
        ("KubePodCrashLooping", "deployment", "cart", "kubernetes-crash-loop"),
        ("KubePodCrashLooping", "pod", "cart-5d4-a", "kubernetes-pod-in-trouble"),
    ] {
        let alert = mk_alert_of(&[("alertname", alertname), (label, value)]);
        let names: Vec<String> = book.matching(&alert).iter().map(|kept| kept.rule.name.clone()).collect();
        assert_eq!(names, [rule], "{alertname} with {label} {value}");
    }
}

/// What is found for each diagnostic of a rule: these fields, or nothing.
fn found(kept: &KeptRule, found: &Value) -> Vec<Finding> {
    let specs = kept.rule.diagnostics.iter();
    let names: BTreeSet<&str> = specs.clone().map(|spec| spec.name.as_str()).collect();
    let stated = found.as_object().expect("findings by name");
    assert!(stated.keys().all(|name| names.contains(name.as_str())), "{found} in {names:?}");
    specs
        .map(|spec| {
            let unknown =
                Finding::unknown(&spec.name, &spec.kind, "nobody answers", Timestamp::UNIX_EPOCH, 1);
            let Some(fields) = stated.get(&spec.name) else { return unknown };
            let fields = fields.as_object().expect("fields").clone();
            Finding { status: FindingStatus::Known, fields, text: "as seen".to_owned(), ..unknown }
        })
        .collect()
}

/// What the ladder comes to with these findings: the remedy that is taken, how, and with which plan.
fn taken(book: &RuleBook, alert: &Alert, findings: &Value) -> (String, Decision, ActionPlan) {
    let kept = book.matching(alert).remove(0);
    let incident = open(book, &kept, alert);
    let candidates = candidates(book, &kept, &incident, &found(&kept, findings));
    let decisions = decide(&candidates, RuleMode::Live);
    let at = decisions.iter().position(|decision| decision.decision != Decision::Skip);
    let at = at.unwrap_or_else(|| panic!("{}: nothing is left for people: {decisions:?}", kept.rule.name));
    let plan = candidates[at].plan.clone().unwrap_or_else(|why| panic!("{}: {why}", kept.rule.name));
    (decisions[at].remedy.clone(), decisions[at].decision, plan)
}

#[test]
fn faults_of_a_cluster_are_answered_by_the_remedy_that_fits() {
    let book = mk_book();
    let of = |alert: &str, more: &[(&str, &str)]| {
        let labels =
            [("alertname", alert), ("namespace", "shop"), ("severity", "warning"), ("container", "app")];
        mk_alert_of(&[&labels, more].concat())
    };
    let cart = [("deployment", "cart")];
    let crashing = of("KubePodCrashLooping", &cart);
    let waiting = of("KubeContainerWaiting", &[("deployment", "cart"), ("reason", "ImagePullBackOff")]);
    let killed = of("KubeContainerOOMKilled", &cart);
    let stuck = of("KubeDeploymentRolloutStuck", &cart);
    let maxed = of("KubeHpaMaxedOut", &[("horizontalpodautoscaler", "cart")]);
    let unready = of("KubePodNotReady", &cart);
    let ending = of("CertExpiring", &[("name", "shop-tls")]);
    let full = of("KubePersistentVolumeFillingUp", &[("persistentvolumeclaim", "data-db-0")]);
    let pss = |alert: &str| {
        mk_alert_of(&[("alertname", alert), ("namespace", "pss-nano"), ("service", "reservation-service")])
    };
    let failing = pss("HighErrorRate");
    let nodes = json!({ "not_ready": 0 });
    let one_pod = json!({ "crash_looping": 1, "ready": 3 });
    let many_pods = json!({ "crash_looping": 3, "ready": 1 });
    for (alert, findings, remedy, decision, kind) in [
        // One pod among others is replaced alone; all together they wait for a person.
        (
            &crashing,
            json!({ "pods": one_pod, "workload": { "updated": 4, "current": 4 }, "history": { "current_seconds": 800 } }),
            "replace-pod",
            Decision::Run,
            "k8s.delete_pod",
        ),
        // The one that crashes is the first of a new revision.
        (
            &crashing,
            json!({ "pods": one_pod, "workload": { "updated": 1, "current": 4 }, "history": { "current_seconds": 800 } }),
            "undo",
            Decision::Ask,
            "k8s.rollout_undo",
        ),
        (
            &crashing,
            json!({ "pods": many_pods, "history": { "current_seconds": 60 } }),
            "undo",
            Decision::Ask,
            "k8s.rollout_undo",
        ),
        (
            &crashing,
            json!({ "pods": many_pods, "history": { "current_seconds": 86_400 } }),
            "investigate",
            Decision::Run,
            "human.task",
        ),
        (&crashing, json!({}), "investigate", Decision::Run, "human.task"),
        (
            &waiting,
            json!({ "pods": { "image_failing": 1 }, "history": { "images_changed": true } }),
            "undo",
            Decision::Ask,
            "k8s.rollout_undo",
        ),
        // The registry is at fault, and an older image comes from the same one.
        (
            &waiting,
            json!({ "pods": { "image_failing": 1 }, "history": { "images_changed": false } }),
            "investigate",
            Decision::Run,
            "human.task",
        ),
        (&killed, json!({ "pods": { "oom_killed": 2 } }), "raise-memory", Decision::Ask, "k8s.set_resources"),
        (
            &stuck,
            json!({ "workload": { "rollout": "stuck" }, "pods": { "unschedulable": 0 } }),
            "undo",
            Decision::Ask,
            "k8s.rollout_undo",
        ),
        // Nobody's rollout is taken back while it makes progress, and no undo makes room on nodes.
        (
            &stuck,
            json!({ "workload": { "rollout": "progressing" }, "pods": { "unschedulable": 0 } }),
            "investigate",
            Decision::Run,
            "human.task",
        ),
        (
            &stuck,
            json!({ "workload": { "rollout": "stuck" }, "pods": { "unschedulable": 2 } }),
            "investigate",
            Decision::Run,
            "human.task",
        ),
        (
            &maxed,
            json!({ "hpa": { "at_max": true, "max": 6 }, "nodes": nodes }),
            "allow-10",
            Decision::Ask,
            "k8s.hpa_patch",
        ),
        (
            &maxed,
            json!({ "hpa": { "at_max": true, "max": 10 }, "nodes": nodes }),
            "allow-20",
            Decision::Ask,
            "k8s.hpa_patch",
        ),
        // A bound is never lowered, and replicas without a node help nobody.
        (
            &maxed,
            json!({ "hpa": { "at_max": true, "max": 50 }, "nodes": nodes }),
            "investigate",
            Decision::Run,
            "human.task",
        ),
        (
            &maxed,
            json!({ "hpa": { "at_max": true, "max": 6 }, "nodes": { "not_ready": 1 } }),
            "investigate",
            Decision::Run,
            "human.task",
        ),
        // One pod that does not answer beside others that do; all at once are not helped by new ones.
        (
            &unready,
            json!({
                "pods": { "not_ready": 1, "ready": 3, "crash_looping": 0 },
                "workload": { "updated": 4, "current": 4 },
            }),
            "replace-pod",
            Decision::Run,
            "k8s.delete_pod",
        ),
        (
            &unready,
            json!({
                "pods": { "not_ready": 4, "ready": 0, "crash_looping": 0 },
                "workload": { "updated": 4, "current": 4 },
            }),
            "investigate",
            Decision::Run,
            "human.task",
        ),
        (
            &ending,
            json!({ "certificate": {
                "exists": true, "issuer_ready": true, "renewing": false, "expires_seconds": 1_700_000,
            } }),
            "renew",
            Decision::Ask,
            "cert.renew",
        ),
        // An issuer that is not ready issues nothing, and attempts are counted.
        (
            &ending,
            json!({ "certificate": {
                "exists": true, "issuer_ready": false, "renewing": false, "expires_seconds": 1_700_000,
            } }),
            "investigate",
            Decision::Run,
            "human.task",
        ),
        (
            &full,
            json!({ "used_ratio": { "last": 0.9, "predicted": 0.95 }, "capacity_gib": { "value": 10.0 } }),
            "expand",
            Decision::Ask,
            "k8s.patch",
        ),
        (
            &full,
            json!({ "used_ratio": { "last": 0.9, "predicted": 1.2 }, "capacity_gib": { "value": 900.0 } }),
            "hurry",
            Decision::Run,
            "escalate",
        ),
        (
            &failing,
            json!({ "error_ratio": { "last": 0.2 }, "history": { "current_seconds": 600, "changes": ["an image"] } }),
            "undo-deployment",
            Decision::Ask,
            "k8s.rollout_undo",
        ),
        // A restart is a revision as well, and changes nothing.
        (
            &failing,
            json!({
                "error_ratio": { "last": 0.2 },
                "history": { "current_seconds": 600, "changes": [] },
                "pool": { "lines": 4 },
                "database": { "used_percent": 40 },
            }),
            "raise-connection-pool",
            Decision::Ask,
            "k8s.set_env",
        ),
        (
            &pss("HighLatency"),
            json!({ "p99": { "last": 3.0 }, "top": { "cpu_of_limit_max": 0.95 } }),
            "scale-up",
            Decision::Ask,
            "k8s.scale",
        ),
        (
            &mk_alert_of(&[
                ("alertname", "DiskSpace"),
                ("namespace", "pss-nano"),
                ("instance", "db-1"),
                ("mountpoint", "/"),
            ]),
            json!({ "used_ratio": { "last": 0.9 }, "archive_job": { "suspended": false } }),
            "archive-logs",
            Decision::Ask,
            "http.call",
        ),
        (
            &mk_alert_of_a_pod("KubePodCrashLooping"),
            json!({ "pod": { "crash_looping": 1, "ready": 3 } }),
            "look",
            Decision::Run,
            "checklist.start",
        ),
    ] {
        let (name, decided, plan) = taken(&book, alert, &findings);
        let labels = &alert.labels;
        assert_eq!(
            (name.as_str(), decided, plan.kind.as_str()),
            (remedy, decision, kind),
            "{labels:?} {findings}"
        );
    }
    let (_, _, expand) =
        taken(&book, &full, &json!({ "used_ratio": { "last": 0.9 }, "capacity_gib": { "value": 10.1 } }));
    assert_eq!(expand.params["patch"]["spec"]["resources"]["requests"]["storage"], "16Gi");
    assert_eq!(expand.target, "PersistentVolumeClaim/shop/data-db-0");
}

/// A catalog and names for settings that have neither cluster nor endpoints.
fn mk_bare_known() -> Known {
    Known {
        endpoints: Some(BTreeSet::new()),
        kubernetes: false,
        read_commands: Some(BTreeSet::new()),
        commands: Some(BTreeSet::new()),
        ..mk_known()
    }
}

#[test]
fn without_a_cluster_they_load_say_what_cannot_work_and_leave_it_to_people() {
    let set = load(&patterns(), &mk_catalog(), &mk_bare_known()).unwrap_or_else(|errors| panic!("{errors}"));
    let warnings: Vec<String> = set.warnings().iter().map(|problem| problem.warning()).collect();
    let catalog = mk_catalog();
    for kept in set.rules() {
        let rule = &kept.rule;
        let uses_the_cluster = |params: &Value, check: ParamsCheck| {
            check(params).is_ok_and(|checked| checked.references.contains(&Reference::Kubernetes))
        };
        let diagnostics = rule.diagnostics.iter().filter(|spec| {
            let kind = catalog.diagnostic(&spec.kind).expect("a kind");
            uses_the_cluster(&spec.params, kind.check)
        });
        let remedies = rule.remedies.iter().filter(|spec| {
            let kind = catalog.action(&spec.action.kind).expect("a kind");
            uses_the_cluster(&spec.action.params, kind.check)
        });
        let diagnostics: Vec<&str> = diagnostics.map(|spec| spec.name.as_str()).collect();
        let remedies: Vec<&str> = remedies.map(|spec| spec.name.as_str()).collect();
        let parts = [("diagnostics", diagnostics), ("remedies", remedies)];
        let parts = parts.into_iter().filter(|(_, names)| !names.is_empty());
        let parts: Vec<String> = parts.map(|(list, names)| format!("{list} {}", names.join(", "))).collect();
        if parts.is_empty() {
            continue;
        }
        let told =
            format!("Kubernetes is not set up in the settings, so these cannot work: {}", parts.join("; "));
        assert!(warnings.iter().any(|warning| warning.contains(&told)), "{told}\n{}", warnings.join("\n"));
    }
    let nothing = Known {
        pagerduty_services: Some(BTreeSet::new()),
        slack: false,
        prometheus: false,
        default_told: false,
        ..mk_bare_known()
    };
    load(&patterns(), &mk_catalog(), &nothing).unwrap_or_else(|errors| panic!("{errors}"));
    let source = BookSource {
        patterns: patterns(),
        catalog: Arc::new(mk_catalog()),
        known: mk_bare_known(),
        default_policy: None,
    };
    let book = RuleBook::open(source).unwrap_or_else(|errors| panic!("{errors}"));
    // Even with findings that call for it, such as older ones of the same incident.
    let alert = mk_alert_of(&[
        ("alertname", "KubePodCrashLooping"),
        ("namespace", "shop"),
        ("deployment", "cart"),
        ("severity", "warning"),
    ]);
    let findings = json!({
        "pods": { "crash_looping": 1, "ready": 3 },
        "workload": { "updated": 4, "current": 4 },
        "history": { "current_seconds": 1 },
    });
    let (remedy, decision, _) = taken(&book, &alert, &findings);
    assert_eq!((remedy.as_str(), decision), ("investigate", Decision::Run));
}

/// Runs `promtool test rules` over one test file.
#[allow(clippy::disallowed_methods, reason = "the tool is a program, and this is a test")]
fn promtool(test: &Value) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("test.yaml"), test.to_string()).expect("written");
    let output = Command::new("promtool").args(["test", "rules", "test.yaml"]).current_dir(&folder).output();
    let output =
        output.unwrap_or_else(|error| panic!("promtool cannot be run ({error}): tests/run installs it"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{test:#}");
}

#[test]
fn no_failed_request_at_all_is_a_ratio_of_zero_and_no_request_is_unknown() {
    let book = mk_book();
    for namespace in ["pss-nano", "shop"] {
        let labels = [("alertname", "HighErrorRate"), ("namespace", namespace), ("service", "api")];
        let alert = mk_alert_with(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        let kept = book.matching(&alert).remove(0);
        let ready = book.diagnostics(&kept, &open(&book, &kept, &alert));
        let ratio = ready.iter().find(|ready| ready.spec.name == "error_ratio").expect("the evidence");
        let expr = ratio.params.as_ref().expect("params")["expr"].as_str().expect("an expression");
        let requests = |status: &str, values: &str| {
            let of = format!(
                "http_requests_total{{namespace=\"{namespace}\", service=\"api\", status=\"{status}\"}}"
            );
            json!({ "series": of, "values": values })
        };
        let evaluated = |name: &str, input: Value, expected: Value| {
            let expected = json!([{ "expr": expr, "eval_time": "15m", "exp_samples": expected }]);
            json!({ "name": name, "interval": "1m", "input_series": input, "promql_expr_test": expected })
        };
        promtool(&json!({ "tests": [
            evaluated("all is well", json!([requests("200", "0+60x30")]), json!([{ "labels": "{}", "value": 0 }])),
            evaluated(
                "one in four",
                json!([requests("200", "0+45x30"), requests("500", "0+10x30"), requests("503", "0+5x30")]),
                json!([{ "labels": "{}", "value": 0.25 }]),
            ),
            evaluated("nobody asks", json!([]), json!([])),
        ] }));
    }
}
