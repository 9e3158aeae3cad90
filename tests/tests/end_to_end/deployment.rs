//! What operators deploy without docker-compose.yml: the manifests of ops/kubernetes and the units of ops/systemd. No
//! cluster runs here, so what can be known without one is checked: that each is well-formed, that the settings in it are
//! those that the programs know, and that nobody is given more than docker-compose.yml gives.

mod kubernetes;
mod manifests;
mod settings;
mod systemd;
mod types;
