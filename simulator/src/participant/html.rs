//! As much HTML as a browser without a screen needs: the forms of a page, and an attribute.
//!
//! Enough for pages that Apollo and the simulated Garmin write themselves; it is no parser for the web at large.

use url::Url;

/// A form, with what would be sent if nothing were changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    action: Option<String>,
    pub(super) fields: Vec<(String, String)>,
}

impl Form {
    /// The page's first form that has a field of that name.
    pub(super) fn with_field(html: &str, name: &str) -> Option<Self> {
        forms(html).into_iter().find(|form| form.fields.iter().any(|(other, _)| other == name))
    }

    /// Fills in a field, or presses a button.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.fields.retain(|(other, _)| other != name);
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    /// Where it goes to from the page at that address.
    pub(super) fn action(&self, page: &Url) -> Result<Url, url::ParseError> {
        page.join(self.action.as_deref().unwrap_or_default())
    }
}

/// The value of the first attribute of that name.
pub(super) fn attribute(html: &str, name: &str) -> Option<String> {
    Tags(html).find_map(|tag| tag.get(name))
}

fn forms(html: &str) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    let mut open = false;
    let mut select = None;
    for tag in Tags(html) {
        match tag.name.as_str() {
            "form" => {
                forms.push(Form { action: tag.get("action"), fields: Vec::new() });
                open = true;
            }
            "/form" => open = false,
            "select" => select = tag.get("name"),
            "/select" => select = None,
            _ => {
                if let Some(form) = forms.last_mut().filter(|_| open) {
                    form.add(&tag, select.as_deref());
                }
            }
        }
    }
    forms
}

impl Form {
    /// Adds what an `<input>` would send, or an `<option>` of the select of that name.
    fn add(&mut self, tag: &Tag, select: Option<&str>) {
        let value = || tag.get("value").unwrap_or_default();
        match (tag.name.as_str(), select) {
            ("input", _) => {
                let kind = tag.get("type").unwrap_or_default();
                let unticked = matches!(kind.as_str(), "checkbox" | "radio") && tag.get("checked").is_none();
                if let Some(name) = tag.get("name").filter(|_| !unticked && kind != "submit") {
                    self.fields.push((name, value()));
                }
            }
            ("option", Some(name)) => {
                let first = self.fields.iter().all(|(other, _)| other != name);
                if first || tag.get("selected").is_some() {
                    self.set(name, &value());
                }
            }
            _ => {}
        }
    }
}

/// A start tag, or an end tag with `/` before its name.
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn get(&self, name: &str) -> Option<String> {
        self.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
    }
}

/// The tags of what is left of a page.
struct Tags<'a>(&'a str);

impl Iterator for Tags<'_> {
    type Item = Tag;

    fn next(&mut self) -> Option<Tag> {
        let start = self.0.find('<')?;
        let rest = &self.0[start + 1..];
        let name_length = rest.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(rest.len());
        let (name, mut rest) = rest.split_at(name_length);
        let mut attributes = Vec::new();
        while let Some((attribute, after)) = next_attribute(rest) {
            attributes.push(attribute);
            rest = after;
        }
        self.0 = rest;
        Some(Tag { name: name.to_ascii_lowercase(), attributes })
    }
}

/// The first attribute of what follows a tag's name, and what follows the attribute; nothing at the tag's end.
fn next_attribute(text: &str) -> Option<((String, String), &str)> {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
    let name_length = text.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/'))?;
    let (name, rest) = text.split_at(name_length);
    if name.is_empty() {
        return None;
    }
    let Some(rest) = rest.strip_prefix('=') else {
        return Some(((name.to_ascii_lowercase(), String::new()), rest));
    };
    let (value, rest) = match rest.chars().next()? {
        quote @ ('"' | '\'') => rest[1..].split_once(quote)?,
        _ => rest.split_at(rest.find(|c: char| c.is_whitespace() || c == '>')?),
    };
    Some(((name.to_ascii_lowercase(), unescape(value)), rest))
}

fn unescape(text: &str) -> String {
    let quotes =
        text.replace("&quot;", "\"").replace("&#34;", "\"").replace("&#39;", "'").replace("&#x27;", "'");
    quotes.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<!doctype html><html lang=en>
        <form action="/search"><input name="q"></form>
        <form method="post" action='consent?a=1&amp;b=2'>
          <input type="hidden" name="invitation" value="a&quot;&amp;lt;b">
          <input id=sid name=sid required>
          <input type="checkbox" name="yes" value="1" checked><input type="checkbox" name="no" value="1">
          <select name="user"><option value="u1">u1<option value="u2" selected>u2</select>
          <input type="submit" name="go" value="go"><button name="decision" value="agree">Agree</button>
        </form><main data-consent-id="c-1"/></html>"#;

    #[test]
    fn a_form_holds_what_a_browser_would_send() {
        let mut form = Form::with_field(PAGE, "sid").unwrap();
        let page = Url::parse("http://127.0.0.1/oauth/garmin/consent").unwrap();
        assert_eq!(form.action(&page).unwrap().as_str(), "http://127.0.0.1/oauth/garmin/consent?a=1&b=2");
        form.set("sid", "P-1");
        let fields: Vec<(&str, &str)> = form.fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(fields, [("invitation", "a\"&lt;b"), ("yes", "1"), ("user", "u2"), ("sid", "P-1")]);
        assert_eq!(Form::with_field(PAGE, "go"), None);
    }

    #[test]
    fn a_form_without_an_action_goes_to_its_own_page() {
        let form = Form::with_field("<form method=post><input name=sid></form>", "sid").unwrap();
        let page = Url::parse("http://127.0.0.1/confirm?a=1").unwrap();
        assert_eq!(form.action(&page).unwrap(), page);
    }

    #[test]
    fn attributes_are_found_wherever_they_are() {
        assert_eq!(attribute(PAGE, "data-consent-id").as_deref(), Some("c-1"));
        assert_eq!(attribute(PAGE, "data-other"), None);
        for cut in (0..PAGE.len()).filter(|cut| PAGE.is_char_boundary(*cut)) {
            Form::with_field(&PAGE[..cut], "never");
        }
    }
}
