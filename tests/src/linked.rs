//! Participants of a study whose consent was given before the test begins.

use crate::Result;
use crate::study::{Study, keyring};
use apollo_shared::consent::SubjectId;
use apollo_shared::garmin::GarminConfig;
use apollo_worker::garmin::{GarminClient, Oauth1Token};
use apollo_worker::metrics::Metrics;
use apollo_worker::store::accounts::Link;
use apollo_worker::store::tokens::NewToken;
use clap::Parser;
use std::sync::Arc;
use time::OffsetDateTime;

/// Where a study's Garmin is, as options.
#[derive(Parser)]
struct GarminArguments {
    #[command(flatten)]
    config: GarminConfig,
}

impl Study {
    /// A participant who has consented long ago, by OAuth 1.0a. Returns the token.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn link_by_oauth1(&self, user_id: &str) -> Result<Oauth1Token> {
        let token = self.garmin.issue_oauth1_token(user_id);
        let token = Oauth1Token { token: token.token.into(), secret: token.secret.into() };
        self.link(user_id, &token.clone().into()).await?;
        Ok(token)
    }

    /// A participant whose consent is one of OAuth 2.0.
    ///
    /// # Errors
    /// Garmin or the database refuses.
    pub async fn link_by_oauth2(&self, user_id: &str) -> Result<()> {
        let program = std::iter::once("test".to_owned());
        let config = GarminArguments::try_parse_from(program.chain(self.garmin_options()))?.config;
        let client = GarminClient::new(&config, Arc::new(Metrics::new()?))?.ok_or("no consumer")?;
        let token = self.garmin.issue_oauth1_token(user_id);
        let token = Oauth1Token { token: token.token.into(), secret: token.secret.into() };
        self.link(user_id, &client.exchange_oauth1_token(&token).await?.into()).await
    }

    async fn link(&self, user_id: &str, token: &NewToken) -> Result<()> {
        let subject_id = SubjectId::parse(&format!("subject of {user_id}"))?;
        let link = Link {
            subject_id: &subject_id,
            user_id,
            consented_at: OffsetDateTime::now_utc(),
            token,
            permissions: None,
        };
        let mut transaction = self.site.pool.begin().await?;
        link.store(&mut transaction, &keyring()?).await?;
        Ok(transaction.commit().await?)
    }
}
