//! Labels that lead astray: each is refused for its own reason, and nothing is written or even rehearsed.

use crate::servers::eventually;
use crate::world::{PATIENCE, World, about, newest};

#[tokio::test]
async fn labels_that_lead_astray_are_refused_each_with_its_own_reason() {
    let world = World::start("boot_hold: 0s, namespaces: [shop]").await;
    for (namespace, deployment, code, words) in [
        ("kube-system", "dns", "plan_invalid", "namespace of the cluster itself"),
        ("shop", "", "plan_invalid", "no target: name `{{ labels.deployment }}`"),
        ("shop", "../secrets", "plan_invalid", "no target: name"),
        ("../shop", "api", "plan_invalid", "no target: namespace"),
        ("", "api", "plan_invalid", "no target: namespace `{{ labels.namespace }}`"),
        ("bank", "api", "allow_list", "namespace bank is not among those that actions may touch"),
    ] {
        world.alerts(&world.service.url(), &[about("Hung", namespace, deployment, "firing")]).await;
        let case = format!("{namespace:?}/{deployment:?}");
        let incident = eventually(&format!("{case} is refused"), PATIENCE, async || {
            let incidents = world.incidents().await.into_iter();
            let labels = |incident: &serde_json::Value| {
                let labels = &incident["alerts"][0]["labels"];
                // A label without a value is none.
                let is = |name: &str, value: &str| labels[name].as_str().unwrap_or_default() == value;
                is("namespace", namespace) && is("deployment", deployment)
            };
            incidents.filter(labels).find(|incident| incident["phase"] == "handed_over")
        })
        .await;
        let timeline = incident["timeline"].as_array().expect("lines");
        let line = timeline.iter().find(|line| line["reason"] == code);
        let line = line.unwrap_or_else(|| panic!("{case}: no {code} in {timeline:#?}"));
        assert!(line["text"].as_str().is_some_and(|text| text.contains(words)), "{case}: {line}");
        if code == "allow_list" {
            world.is_stopped(&incident, code, words).await;
        } else {
            assert!(newest(&incident).is_null(), "{case}: there is nothing to approve");
        }
        let explained = world.explain("Hung", namespace, deployment).await;
        assert_eq!(explained["reason_code"], code, "{case}: {explained}");
    }
    assert_eq!(world.writes(), Vec::<String>::new());
    let namespaces: Vec<String> =
        world.cluster.writes().entries().iter().map(|write| write.what.namespace.clone()).collect();
    assert!(namespaces.iter().all(|namespace| namespace == "bank" || namespace.is_empty()), "{namespaces:?}");
}
