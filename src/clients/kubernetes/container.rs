//! Which container of a pod is meant where nobody names one: that which the pod itself names, as `kubectl` takes it, or
//! else its first. Whoever injects a sidecar in the first place says so there.

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

/// The annotation by which a pod names it.
const DEFAULT: &str = "kubectl.kubernetes.io/default-container";

/// The container that is meant in a pod.
pub fn default_in(pod: &Pod) -> Option<String> {
    let named = pod.metadata.annotations.as_ref().and_then(|all| all.get(DEFAULT));
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    choose(named.map(String::as_str), containers.map(|container| container.name.as_str())).map(str::to_owned)
}

/// The same in a pod as it came.
pub fn default_in_object(pod: &Value) -> Option<&str> {
    let named = pod.pointer("/metadata/annotations").and_then(|all| all.get(DEFAULT)?.as_str());
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    choose(named, containers.into_iter().flatten().filter_map(|container| container["name"].as_str()))
}

fn choose<'n>(named: Option<&str>, containers: impl Iterator<Item = &'n str> + Clone) -> Option<&'n str> {
    let mut all = containers.clone();
    let of_name = named.and_then(|named| all.find(|name| *name == named));
    of_name.or_else(|| containers.into_iter().next())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_names_its_container_or_means_the_first() {
        for (annotations, expected) in [
            (json!({}), Some("istio-proxy")),
            (json!({DEFAULT: "api"}), Some("api")),
            // A name that is none of them says nothing, as for `kubectl`.
            (json!({DEFAULT: "gone"}), Some("istio-proxy")),
        ] {
            let containers = json!([{"name": "istio-proxy"}, {"name": "api"}]);
            let pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": containers}});
            assert_eq!(default_in_object(&pod), expected, "{annotations}");
            let pod: Pod = serde_json::from_value(pod).expect("a pod");
            assert_eq!(default_in(&pod).as_deref(), expected, "{annotations}");
        }
        assert_eq!((default_in_object(&json!({})), default_in(&Pod::default())), (None, None));
    }
}
