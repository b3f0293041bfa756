//! What the pod is kept from, and to whom it may speak.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::kustomize::{self, Rendered, list, text};
use crate::{NAME, alone, container, pod, read, replicated, root, settings};

#[test]
fn the_pod_has_no_rights_that_it_does_not_need() {
    for rendered in [alone(), replicated()] {
        let (pod, container) = (&pod(&rendered)["securityContext"], container(&rendered));
        assert_eq!(pod["runAsNonRoot"], true);
        assert!(pod["runAsUser"].as_i64().is_some_and(|user| user > 0));
        assert_eq!(pod["seccompProfile"], json!({ "type": "RuntimeDefault" }));
        let expected = json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        });
        assert_eq!(container["securityContext"], expected);
        let writable = list(container, "/volumeMounts").iter().filter(|mount| mount["readOnly"] != true);
        assert!(writable.map(|mount| text(mount, "/name")).all(|name| name == "data"));
        let namespace = &rendered.one("Namespace", NAME)["metadata"]["labels"];
        assert_eq!(namespace["pod-security.kubernetes.io/enforce"], "restricted");
    }
}

/// What a selector of labels must be to mean the pods.
fn labels(rendered: &Rendered) -> &Value {
    &rendered.one("Deployment", NAME)["spec"]["template"]["metadata"]["labels"]
}

#[test]
fn whatever_selects_pods_selects_these() {
    for rendered in [alone(), replicated()] {
        let labels = labels(&rendered);
        assert_eq!(&rendered.one("Deployment", NAME)["spec"]["selector"]["matchLabels"], labels);
        assert_eq!(&rendered.one("Service", NAME)["spec"]["selector"], labels);
        assert_eq!(&rendered.one("PodDisruptionBudget", NAME)["spec"]["selector"]["matchLabels"], labels);
        let policies = rendered.names("NetworkPolicy");
        assert!(!policies.is_empty());
        for name in policies {
            assert_eq!(&rendered.one("NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"], labels);
        }
        // A drain goes on with one replica, and takes one of three at a time.
        assert_eq!(rendered.one("PodDisruptionBudget", NAME)["spec"]["maxUnavailable"], 1);
    }
}

/// Ports that lead out, over all policies.
fn ports_out(rendered: &Rendered) -> BTreeSet<u64> {
    let policies = rendered.names("NetworkPolicy").into_iter();
    let rules = policies.flat_map(|name| list(rendered.one("NetworkPolicy", name), "/spec/egress"));
    rules.flat_map(|rule| list(rule, "/ports")).filter_map(|port| port["port"].as_u64()).collect()
}

#[test]
fn the_way_out_is_open_to_what_the_settings_name_and_to_nothing_else() {
    let prometheus = |rendered: &Rendered| {
        let url = settings(rendered).prometheus.expect("a Prometheus").url;
        reqwest::Url::parse(url.as_str()).expect("an address").port().map(u64::from).expect("a port")
    };
    // Names, Prometheus, Alertmanager, Slack and PagerDuty, the API server; in the overlay PostgreSQL.
    let alone = alone();
    assert_eq!(ports_out(&alone), BTreeSet::from([53, prometheus(&alone), 9093, 443, 6443]));
    let replicated = replicated();
    let database = reqwest::Url::parse(crate::DATABASE_URL).expect("an address").port().expect("a port");
    let mut expected = ports_out(&alone);
    expected.insert(u64::from(database));
    assert_eq!(ports_out(&replicated), expected);
}

#[test]
fn the_way_in_is_open_to_monitoring_and_the_ingress_alone() {
    let rendered = alone();
    let policy = rendered.one("NetworkPolicy", NAME);
    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    let from = |rule: &Value| -> Vec<String> {
        assert_eq!(rule["ports"], json!([{ "protocol": "TCP", "port": "http" }]));
        let key = "kubernetes.io/metadata.name";
        let peers = list(rule, "/from").iter();
        peers
            .map(|peer| {
                text(&peer["namespaceSelector"]["matchLabels"], &format!("/{}", key.replace('/', "~1")))
                    .to_owned()
            })
            .collect()
    };
    let from: Vec<Vec<String>> = list(policy, "/spec/ingress").iter().map(from).collect();
    assert_eq!(from, [["monitoring"], ["ingress-nginx"]]);
}

#[test]
fn the_metadata_services_of_clouds_are_never_reached() {
    let rendered = alone();
    let rules = list(rendered.one("NetworkPolicy", NAME), "/spec/egress");
    let blocks: Vec<&Value> =
        rules.iter().flat_map(|rule| list(rule, "/to")).filter_map(|peer| peer.get("ipBlock")).collect();
    let local: Vec<&str> =
        blocks.iter().map(|block| text(block, "/cidr")).filter(|cidr| cidr.starts_with("169.254.")).collect();
    assert_eq!(local, ["169.254.20.10/32"], "the cache of names on each node is all that is link-local");
    let block = |cidr: &str| {
        blocks.iter().find(|block| block["cidr"] == cidr).unwrap_or_else(|| panic!("no block {cidr}"))["except"].clone()
    };
    assert_eq!(block("0.0.0.0/0"), json!(["169.254.0.0/16"]));
    assert_eq!(block("::/0"), json!(["fe80::/10"]));
    assert!(rules.iter().all(|rule| !list(rule, "/to").is_empty()), "no rule leads everywhere");
}

#[test]
fn names_are_asked_of_the_name_servers_alone() {
    let rendered = alone();
    let rules = list(rendered.one("NetworkPolicy", NAME), "/spec/egress").iter();
    let mut asking = rules.filter(|rule| list(rule, "/ports").iter().any(|port| port["port"] == 53));
    let rule = asking.next().expect("names are asked for");
    assert_eq!(asking.next(), None);
    assert_eq!(rule["ports"], json!([{ "protocol": "UDP", "port": 53 }, { "protocol": "TCP", "port": 53 }]));
    let pods = json!({
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "kube-system" } },
        "podSelector": { "matchLabels": { "k8s-app": "kube-dns" } },
    });
    // What runs on the network of its node is an address to a policy.
    assert_eq!(rule["to"], json!([pods, { "ipBlock": { "cidr": "169.254.20.10/32" } }]));
}

#[test]
fn on_cilium_the_api_server_is_named_and_nothing_else_is_opened() {
    let rendered = kustomize::build(&root().join("deploy/kubernetes/overlays/cilium"));
    let base = alone();
    assert_eq!(rendered.objects.len(), base.objects.len() + 1);
    let policy = rendered.one("CiliumNetworkPolicy", "smokejumper-api-server");
    assert_eq!((text(policy, "/apiVersion"), text(policy, "/metadata/namespace")), ("cilium.io/v2", NAME));
    let port = |port: u64| json!({ "protocol": "TCP", "port": port.to_string() });
    let way = json!({ "toEntities": ["kube-apiserver"], "toPorts": [{ "ports": [port(443), port(6443)] }] });
    let expected = json!({ "endpointSelector": { "matchLabels": labels(&rendered) }, "egress": [way] });
    assert_eq!(policy["spec"], expected);
}

#[test]
fn alertmanager_reaches_the_service_by_the_name_and_port_that_it_has() {
    let rendered = alone();
    let (service, container) = (rendered.one("Service", NAME), container(&rendered));
    let port = &service["spec"]["ports"][0];
    assert_eq!(port["targetPort"], container["ports"][0]["name"]);
    assert_eq!(container["ports"][0]["containerPort"], settings(&rendered).server.listen.port());
    let receiver: Value = serde_saphyr::from_str(&read("deploy/alertmanager/receiver.yml")).expect("YAML");
    let url = &receiver["receivers"][0]["webhook_configs"][0]["url"];
    let namespace = text(service, "/metadata/namespace");
    let number = port["port"].as_u64().expect("a port");
    assert_eq!(url, &json!(format!("http://{NAME}.{namespace}:{number}/webhooks/alertmanager")));
}
