//! The manifests of ops/kubernetes.

use super::manifests::{self, Workload, documents, root, texts, workloads};
use super::settings;
use super::types::Types;
use apollo_shared::topology::Lane;
use apollo_tests::Result;
use clap::{CommandFactory as _, FromArgMatches as _};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn every_manifest_has_known_fields_of_the_right_types() -> Result<()> {
    let types = Types::read()?;
    let manifests = manifests::all()?;
    for (file, manifest) in &manifests {
        let problems = types.problems(manifest);
        assert!(problems.is_empty(), "{}:\n{}", file.display(), problems.join("\n"));
    }
    let named: BTreeSet<_> = manifests.into_iter().map(|(file, _)| file).collect();
    let unnamed: Vec<_> = manifests::files(&root().join("ops/kubernetes"))?
        .into_iter()
        .filter(|file| !named.contains(file))
        .collect();
    assert!(unnamed.is_empty(), "no kustomization names {unnamed:?}");
    Ok(())
}

#[test]
fn mistakes_in_a_manifest_are_found() -> Result<()> {
    let types = Types::read()?;
    let receiver = documents(&root().join("ops/kubernetes/receiver.yaml"))?;
    let receiver =
        receiver.iter().find(|document| document["kind"] == "StatefulSet").ok_or("a StatefulSet")?;
    let container = "/spec/template/spec/containers/0";
    for (path, value, problem) in [
        (format!("{container}/readyProbe"), json!({}), "containers[0].readyProbe: no such field"),
        (format!("{container}/ports/0/containerPort"), json!("8000"), "is not of the type integer"),
        (
            format!("{container}/readinessProbe/httpGet/port"),
            Value::Null,
            "is not of the type integer or string",
        ),
        ("/spec/serviceName".to_owned(), Value::Null, "is not of the type string"),
        ("/spec/selector".to_owned(), json!([]), "StatefulSet.spec.selector: [] is no object"),
        ("/kind".to_owned(), json!("ReplicaSets"), "apps/v1 ReplicaSets: no such kind"),
    ] {
        let mut wrong = receiver.clone();
        let (parent, name) = path.rsplit_once('/').ok_or("a path")?;
        wrong.pointer_mut(parent).ok_or("a parent")?[name] = value;
        let problems = types.problems(&wrong);
        assert!(problems.len() == 1 && problems[0].contains(problem), "{path}: {problems:?}");
    }
    let mut wrong = receiver.clone();
    wrong["spec"].as_object_mut().ok_or("a spec")?.remove("selector");
    assert_eq!(types.problems(&wrong), ["StatefulSet.spec.selector is missing"]);
    Ok(())
}

#[test]
fn the_programs_take_what_the_manifests_tell_them() -> Result<()> {
    let worker = apollo_worker::cli::Cli::command();
    let mut served = BTreeSet::new();
    for workload in workloads()? {
        let settings = workload.settings()?;
        let command: Vec<&str> = texts(&workload.container()["args"]).collect();
        let needed: &[&str] = match (workload.container()["image"].as_str(), &command[..]) {
            (Some("apollo-receiver"), []) => {
                let matches = settings::taken_by(&apollo_receiver::Cli::command(), &[], &settings)?;
                apollo_receiver::Cli::from_arg_matches(&matches)?.config.check()?;
                &["RABBITMQ__URL", "RECEIVER__PUBLIC_URL", "RECEIVER__PUSH_TOKEN", "GARMIN__CONSUMER_SECRET"]
            }
            (Some("apollo-worker"), ["serve"]) => {
                settings::taken_by(&worker, &command, &settings)?;
                let lane = settings.get("WORKER__LANES").ok_or("a lane")?;
                let asks_garmin = settings.contains_key("GARMIN__CONSUMER_SECRET");
                assert_eq!(asks_garmin, lane != Lane::Summaries.name(), "{lane}");
                assert_eq!(asks_garmin, workload.networks().contains("garmin"), "{lane}");
                assert!(served.insert(lane.clone()), "{lane} twice");
                &["RABBITMQ__URL", "DATABASE__URL", "RECEIVER__PUBLIC_URL"]
            }
            (Some("apollo-worker"), ["migrate"]) => {
                settings::taken_by(&worker, &command, &settings)?;
                &["DATABASE__URL"]
            }
            (Some(image), _) if image.starts_with("nginx:") => &["APOLLO_SERVER_NAME"],
            other => return Err(format!("{}: {other:?}", workload.name).into()),
        };
        for name in needed {
            assert!(settings.contains_key(*name), "{} is not told {name}", workload.name);
        }
    }
    assert_eq!(served, Lane::ALL.map(|lane| lane.name().to_owned()).into());
    Ok(())
}

#[test]
fn the_edge_has_the_configuration_of_compose_filled_in() -> Result<()> {
    let workloads = workloads()?;
    let edge = workloads.iter().find(|workload| workload.name == "apollo-edge").ok_or("the edge")?;
    let told: BTreeSet<String> =
        edge.settings()?.into_keys().filter(|name| name.starts_with("APOLLO_")).collect();
    let template = std::fs::read_to_string(root().join("nginx/templates/apollo.conf.template"))?;
    let wanted = template.split("${").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned()));
    assert_eq!(told, wanted.collect());
    let compose = &documents(&root().join("docker-compose.yml"))?[0]["services"]["nginx"];
    assert_eq!(edge.container()["image"], compose["image"]);
    Ok(())
}

#[test]
fn nobody_is_given_more_than_in_compose() -> Result<()> {
    let compose = documents(&root().join("docker-compose.yml"))?;
    let services = &compose[0]["services"];
    for workload in workloads()? {
        let Workload { name, pod, .. } = &workload;
        let service = match workload.labels["app.kubernetes.io/component"].as_str() {
            Some("receiver") => &services["receiver-a"],
            Some("worker") => &services["worker"],
            Some("migrate") => &services["migrate"],
            _ => &services["nginx"],
        };
        // Compose's `edge` leads from nginx to the receivers, and from both into the world.
        let mut allowed: BTreeSet<String> = texts(&service["networks"]).map(str::to_owned).collect();
        if allowed.contains("edge") {
            allowed.extend(["public".to_owned(), "garmin".to_owned()]);
        }
        assert!(workload.networks().is_subset(&allowed), "{name}: {:?}", workload.networks());
        if let Some(grace) = service["stop_grace_period"].as_str().and_then(|it| it.strip_suffix('s')) {
            let given = pod["terminationGracePeriodSeconds"].as_i64();
            assert!(given >= grace.parse().ok(), "{name} has {given:?} s to stop, {grace} in compose");
        }
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        let container = workload.container();
        let rights = json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] }
        });
        assert_eq!(container["securityContext"], rights, "{name}");
        for resource in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
            assert!(container["resources"].pointer(resource).is_some(), "{name}: {resource}");
        }
    }
    Ok(())
}

#[test]
fn only_who_is_on_the_database_network_reaches_it_and_nothing_else_is_open() -> Result<()> {
    let policies = documents(&root().join("ops/kubernetes/network.yaml"))?;
    // By the label that a policy is about: the ports to which its pods may open connections.
    let mut ports: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for policy in &policies {
        let labels = policy["spec"]["podSelector"]["matchLabels"].as_object().ok_or("labels")?;
        let label = labels.keys().next().ok_or("a label")?.clone();
        let rules = policy["spec"]["egress"].as_array().into_iter().flatten();
        let opened = rules.flat_map(|rule| rule["ports"].as_array().into_iter().flatten());
        ports.entry(label).or_default().extend(opened.filter_map(|port| port["port"].as_i64()));
    }
    let expected = [
        ("app.kubernetes.io/part-of", vec![53]),
        ("network.apollo/public", vec![8000]),
        ("network.apollo/edge", vec![]),
        ("network.apollo/broker", vec![5671, 5672]),
        ("network.apollo/database", vec![5432]),
        ("network.apollo/garmin", vec![443]),
        ("network.apollo/metrics", vec![]),
    ];
    let expected = expected.map(|(label, ports)| (label.to_owned(), BTreeSet::from_iter(ports)));
    assert_eq!(ports, BTreeMap::from(expected));
    for workload in workloads()? {
        assert_eq!(workload.labels["app.kubernetes.io/part-of"], "apollo", "{}", workload.name);
        let stores = ["worker", "migrate"].map(Value::from);
        let may = workload.networks().contains("database");
        assert_eq!(
            may,
            stores.contains(&workload.labels["app.kubernetes.io/component"]),
            "{}",
            workload.name
        );
    }
    Ok(())
}

#[test]
fn keda_looks_at_the_queue_of_the_summaries_and_scales_its_workers() -> Result<()> {
    let keda = documents(&root().join("ops/kubernetes/keda/scaled-object.yaml"))?;
    let scaled = &keda[0]["spec"];
    assert_eq!(scaled["triggers"][0]["metadata"]["queueName"], Lane::Summaries.queue());
    let target = scaled["scaleTargetRef"]["name"].as_str().ok_or("a target")?;
    let workers = workloads()?;
    let workers = workers.iter().find(|workload| workload.name == target).ok_or("the workers")?;
    assert_eq!(workers.settings()?["WORKER__LANES"], Lane::Summaries.name());
    // A number of replicas in the manifest would undo KEDA's with every update.
    let manifest = documents(&root().join("ops/kubernetes/worker-summaries.yaml"))?;
    assert_eq!(manifest[0]["spec"]["replicas"], Value::Null);
    Ok(())
}
