//! Kubernetes' own types: each object must be one of them, with no field that the type does not know.

use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolumeClaim, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{alone, replicated};

/// What is wrong with an object, if anything: read as its type and written again, it must be the same.
fn complaint(object: &Value) -> Option<String> {
    fn of<K: Resource + Serialize + DeserializeOwned>(object: &Value) -> Option<String> {
        if object["apiVersion"] != K::API_VERSION {
            return Some(format!("{} belongs to {}", K::KIND, K::API_VERSION));
        }
        let typed: K = match serde_json::from_value(object.clone()) {
            Ok(typed) => typed,
            Err(error) => return Some(error.to_string()),
        };
        let again = serde_json::to_value(&typed).expect("Kubernetes' types can be written");
        (again != *object).then(|| format!("a field is not known; what is known of it: {again:#}"))
    }
    match object["kind"].as_str().unwrap_or_default() {
        Namespace::KIND => of::<Namespace>(object),
        ServiceAccount::KIND => of::<ServiceAccount>(object),
        ConfigMap::KIND => of::<ConfigMap>(object),
        PersistentVolumeClaim::KIND => of::<PersistentVolumeClaim>(object),
        Service::KIND => of::<Service>(object),
        Deployment::KIND => of::<Deployment>(object),
        PodDisruptionBudget::KIND => of::<PodDisruptionBudget>(object),
        NetworkPolicy::KIND => of::<NetworkPolicy>(object),
        Role::KIND => of::<Role>(object),
        RoleBinding::KIND => of::<RoleBinding>(object),
        ClusterRole::KIND => of::<ClusterRole>(object),
        ClusterRoleBinding::KIND => of::<ClusterRoleBinding>(object),
        kind => Some(format!("this test does not know the kind `{kind}`")),
    }
}

#[test]
fn every_object_is_of_a_type_of_kubernetes_and_has_no_field_besides() {
    for rendered in [alone(), replicated()] {
        assert!(rendered.objects.len() > 10);
        for object in &rendered.objects {
            assert_eq!(complaint(object), None, "{object:#}");
        }
    }
}

#[test]
fn a_field_that_no_type_knows_is_found_wherever_it_is() {
    let rendered = alone();
    let good = rendered.one("Deployment", crate::NAME);
    for (at, key) in
        [("/spec", "replica"), ("/spec/template/spec/containers/0/livenessProbe/httpGet", "paht")]
    {
        let mut wrong = good.clone();
        wrong.pointer_mut(at).expect("a place")[key] = json!(1);
        assert!(complaint(&wrong).is_some(), "{at}/{key}");
    }
    let mut wrong = good.clone();
    wrong["apiVersion"] = json!("extensions/v1beta1");
    assert!(complaint(&wrong).is_some());
}
