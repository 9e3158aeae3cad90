//! The files of ops/kubernetes, read.

use super::settings::{self, Settings};
use apollo_tests::Result;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The root of the checkout.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn folder() -> PathBuf {
    root().join("ops/kubernetes")
}

/// The documents of a YAML file, merge keys (`<<`) resolved.
pub(super) fn documents(file: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let documents = serde_yaml_ng::Deserializer::from_str(&text).map(|document| {
        let mut value = serde_yaml_ng::Value::deserialize(document)?;
        value.apply_merge()?;
        Ok(serde_json::to_value(value)?)
    });
    documents.collect()
}

/// The folders that kustomize reads, the components that are optional included.
pub(super) fn kustomizations() -> Vec<PathBuf> {
    let mut folders = vec![folder(), root().join("nginx")];
    folders.extend(["keda", "prometheus", "ingress"].map(|component| folder().join(component)));
    folders
}

/// All manifests that some kustomization names, with the file of each.
pub(super) fn all() -> Result<Vec<(PathBuf, Value)>> {
    let mut all = Vec::new();
    for folder in kustomizations() {
        let file = folder.join("kustomization.yaml");
        let kustomization = documents(&file)?.into_iter().next().unwrap_or_default();
        for resource in texts(&kustomization["resources"]).filter(|name| name.ends_with(".yaml")) {
            let file = folder.join(resource);
            all.extend(documents(&file)?.into_iter().map(|document| (file.clone(), document)));
        }
        all.push((file, kustomization));
    }
    Ok(all)
}

/// The YAML files that are there.
pub(super) fn files(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(self::files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.insert(path);
        }
    }
    Ok(files)
}

/// The texts of a list.
pub(super) fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// What makes pods.
pub(super) struct Workload {
    pub(super) name: String,
    /// The pods' labels, an object.
    pub(super) labels: Value,
    pub(super) pod: Value,
}

impl Workload {
    /// Its only container.
    pub(super) fn container(&self) -> &Value {
        &self.pod["containers"][0]
    }

    /// The networks that it says it is on.
    pub(super) fn networks(&self) -> BTreeSet<String> {
        let labels = self.labels.as_object().into_iter().flatten();
        labels.filter_map(|(name, _)| name.strip_prefix("network.apollo/").map(str::to_owned)).collect()
    }

    /// What its container is told, with the examples of the secrets.
    pub(super) fn settings(&self) -> Result<Settings> {
        let kustomization = &documents(&folder().join("kustomization.yaml"))?[0];
        let mut settings = Settings::new();
        for source in self.container()["envFrom"].as_array().into_iter().flatten() {
            let (generators, name, suffix) = match &source["configMapRef"]["name"] {
                Value::String(name) => ("configMapGenerator", name.as_str(), ""),
                _ => {
                    ("secretGenerator", source["secretRef"]["name"].as_str().unwrap_or_default(), ".example")
                }
            };
            let mut generators = kustomization[generators].as_array().into_iter().flatten();
            let generator = generators.find(|generator| generator["name"] == name);
            let generator = generator.ok_or_else(|| format!("{}: nothing makes {name}", self.name))?;
            for file in texts(&generator["envs"]) {
                settings.extend(settings::read(&folder().join(format!("{file}{suffix}")))?);
            }
        }
        for variable in self.container()["env"].as_array().into_iter().flatten() {
            let text = |name: &str| variable[name].as_str().unwrap_or_default().to_owned();
            settings.insert(text("name"), text("value"));
        }
        Ok(settings)
    }
}

/// All that makes pods.
pub(super) fn workloads() -> Result<Vec<Workload>> {
    let workload = |document: Value| {
        let template = document["spec"].get("template")?;
        Some(Workload {
            name: document["metadata"]["name"].as_str()?.to_owned(),
            labels: template["metadata"]["labels"].clone(),
            pod: template["spec"].clone(),
        })
    };
    Ok(all()?.into_iter().filter_map(|(_, document)| workload(document)).collect())
}
