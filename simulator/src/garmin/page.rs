//! The HTML of the consent page: plain, labelled, without scripts, and obviously not Garmin's.

use std::fmt::Write as _;

use super::notification::PERMISSIONS;
use super::state::State;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:2rem auto;padding:0 1rem}\
    select,button{font:inherit;padding:.4rem .8rem;max-width:100%}label{display:block}\
    fieldset{margin:1rem 0}";

/// The page that asks for consent. It has no action, so the answer goes to its own address, with the query in which the
/// app has said what it wants. `user` is chosen already if it is given and known.
pub(super) fn consent(state: &State, user: Option<&str>) -> String {
    let account = match user.filter(|user| state.accounts.contains_key(*user)) {
        Some(user) => {
            let user = escape(user);
            format!("<p>Account: {user}<input type=\"hidden\" name=\"user\" value=\"{user}\"></p>")
        }
        None => format!(
            "<label for=\"user\">Account</label>\n<select id=\"user\" name=\"user\">{}</select>",
            options(state)
        ),
    };
    page(&format!(
        "<p>The app <strong>{app}</strong> asks for the data of an account.</p>\n\
         <form method=\"post\">\n{account}\n\
         <fieldset><legend>It may have</legend>{permissions}\n</fieldset>\n\
         <button id=\"agree\" name=\"decision\" value=\"agree\">Agree</button>\n\
         <button id=\"cancel\" name=\"decision\" value=\"cancel\">Cancel</button>\n</form>",
        app = escape(&state.consumer_key),
        permissions = permissions(),
    ))
}

/// The page that says why no consent can be given.
pub(super) fn mistake(mistake: &str) -> String {
    page(&format!(
        "<p>The app has sent you here with a request that cannot be served: {}.</p>",
        escape(mistake)
    ))
}

fn page(content: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Simulated Garmin Connect</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>Simulated Garmin Connect</h1>\n{content}\n</main>\n</body>\n</html>\n"
    )
}

fn options(state: &State) -> String {
    state.accounts.keys().map(|user_id| escape(user_id)).fold(String::new(), |mut html, user_id| {
        let _ = write!(html, "\n<option value=\"{user_id}\">{user_id}</option>");
        html
    })
}

/// All are ticked but historical data, as on Garmin's own page (garmin-health-api.md 5).
fn permissions() -> String {
    PERMISSIONS.iter().fold(String::new(), |mut html, name| {
        let checked = if *name == "HISTORICAL_DATA_EXPORT" { "" } else { " checked" };
        let _ = write!(
            html,
            "\n<label><input type=\"checkbox\" name=\"permission\" value=\"{name}\"{checked}> {name}</label>"
        );
        html
    })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
