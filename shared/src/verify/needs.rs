//! The parameters without which an endpoint would take in what was sent to somebody else, and the places that parameters
//! make the relay go to. Both are asked before an endpoint is made or changed.

use std::collections::BTreeMap;

use super::delivery::Delivery;
use super::evaluate::Evaluation;
use super::scheme::{Method, Scheme};
use super::template::{Source, Template};
use super::{Body, Provider, Request, Settings};
use crate::head::{Head, Version};
use crate::time::Timestamp;

/// A URL that a parameter of an endpoint is part of, and that the relay fetches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedUrl {
    /// The parameter.
    pub parameter: String,
    /// The URL.
    pub url: String,
}

impl Provider {
    /// The parameters that an endpoint must set and does not, or sets to nothing. What a signature is compared with is
    /// skipped where its parameter is absent; where the provider signs with one key for all its customers, requests for
    /// any other customer would then pass.
    pub fn missing_parameters(
        &self,
        variant: Option<&str>,
        parameters: &BTreeMap<String, String>,
    ) -> Vec<&str> {
        let mut missing: Vec<&str> = Vec::new();
        let of_schemes = self.chosen(variant, parameters);
        let of_schemes = of_schemes.into_iter().flat_map(|scheme| &scheme.needs);
        for name in self.needs.iter().chain(of_schemes) {
            let is_set = parameters.get(name).is_some_and(|value| !value.is_empty());
            if !is_set && !missing.contains(&name.as_str()) {
                missing.push(name);
            }
        }
        missing
    }

    /// The URLs of key sets that the endpoint's parameters name.
    pub fn fetched_urls(
        &self,
        variant: Option<&str>,
        parameters: &BTreeMap<String, String>,
    ) -> Vec<FetchedUrl> {
        let chosen = self.chosen(variant, parameters);
        let sets = chosen.into_iter().filter_map(key_set);
        let urls = sets.filter_map(|template| {
            Some(FetchedUrl {
                parameter: parameter_of(template)?,
                url: rendered(template, parameters)?,
            })
        });
        urls.collect()
    }

    /// The schemes that an endpoint with these settings may take.
    fn chosen(&self, variant: Option<&str>, parameters: &BTreeMap<String, String>) -> Vec<&Scheme> {
        let mut schemes: Vec<&Scheme> = self.schemes.iter().collect();
        schemes.retain(|scheme| {
            let mut conditions = scheme.when.iter();
            let mut is_possible =
                || conditions.all(|condition| condition.may_hold_with(parameters));
            scheme.is_allowed(variant) && (variant.is_some() || is_possible())
        });
        schemes
    }
}

fn key_set(scheme: &Scheme) -> Option<&Template> {
    match &scheme.method {
        Method::Jwt(rule) => rule.published.as_ref()?.url.as_ref(),
        _ => None,
    }
}

fn parameter_of(template: &Template) -> Option<String> {
    let mut expressions = template.expressions().into_iter();
    expressions.find_map(|expression| match &expression.source {
        Source::Parameter(name) => Some(name.clone()),
        _ => None,
    })
}

/// The text of a template that reads parameters alone.
fn rendered(template: &Template, parameters: &BTreeMap<String, String>) -> Option<String> {
    let no_fields: [(&[u8], &[u8]); 0] = [];
    let head = Head::build("GET", b"/", Version::Http11, no_fields).ok()?;
    let request = Request {
        head: &head,
        url: "",
        body: Body::Bytes(b""),
    };
    let settings = Settings {
        secrets: &[],
        parameters,
        variant: None,
        now: Timestamp::default(),
        fetched: &BTreeMap::new(),
    };
    let delivery = Delivery::new(&request, &settings);
    Evaluation::new(&delivery).render_text(template).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = r#"[x]
needs = ["account"]
[[x.scheme]]
id = "set"
when = ["param.issuer"]
alg = "jwt"
binds = "none"
sig = "{header.a}"
key_fetch = { kid = true, set = "{param.issuer}/keys" }
jwt = { algs = ["RS256"], exp = "required", claims = { iss = "{param.issuer}", aud = "{param.audience}" } }
needs = ["issuer", "audience"]
[[x.scheme]]
id = "token"
alg = "equals"
binds = "none"
sig = "{header.b}"
expect = "{secret}{param.account}"
"#;

    #[test]
    fn what_is_needed_follows_the_scheme_that_is_chosen() {
        let own = Provider::parse("x", OWN).unwrap();
        let missing = |variant, given: &[(&str, &str)]| {
            let given = given
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()));
            own.missing_parameters(variant, &given.collect()).join(" ")
        };

        assert_eq!(missing(None, &[]), "account");
        assert_eq!(missing(None, &[("account", "")]), "account");
        assert_eq!(missing(None, &[("account", "1")]), "");
        assert_eq!(
            missing(Some("token"), &[("account", "1"), ("issuer", "i")]),
            ""
        );
        assert_eq!(
            missing(None, &[("account", "1"), ("issuer", "i")]),
            "audience"
        );
        assert_eq!(missing(Some("set"), &[("account", "1")]), "issuer audience");
    }

    #[test]
    fn a_url_that_a_parameter_names_is_told() {
        let own = Provider::parse("x", OWN).unwrap();
        let given = BTreeMap::from([("issuer".to_owned(), "https://a.example".to_owned())]);

        let urls = own.fetched_urls(None, &given);

        let url = "https://a.example/keys".to_owned();
        let parameter = "issuer".to_owned();
        assert_eq!(urls, [FetchedUrl { parameter, url }]);
        assert!(own.fetched_urls(Some("token"), &given).is_empty());
        assert!(own.fetched_urls(None, &BTreeMap::new()).is_empty());
    }

    #[test]
    fn where_all_customers_have_one_key_the_providers_file_says_what_tells_them_apart() {
        for (slug, needs) in [
            ("google_pubsub", "audience email"),
            ("kinde", "issuer"),
            ("aws_sns", "topic_arn"),
            ("github", ""),
        ] {
            let provider = Provider::builtin(slug).unwrap();

            let missing = provider.missing_parameters(None, &BTreeMap::new());

            assert_eq!(missing.join(" "), needs, "{slug}");
        }
    }

    #[test]
    fn a_need_that_no_scheme_reads_is_a_mistake() {
        for (from, to) in [
            ("\"account\"", "\"acount\""),
            ("\"audience\"]", "\"audiences\"]"),
        ] {
            let errors = Provider::parse("x", &OWN.replace(from, to)).unwrap_err();

            assert!(errors.0[0].key.ends_with("needs"), "{errors}");
        }
    }

    #[test]
    fn a_published_key_whose_tokens_are_anybodys_is_doubted() {
        let without = OWN
            .replace("needs = [\"issuer\", \"audience\"]\n", "")
            .replace("needs = [\"account\"]\n", "");

        let (_, findings) = Provider::lint("x", &without);
        let (_, sound) = Provider::lint("x", OWN);

        let doubts = |findings: &crate::verify::SchemeFindings| {
            let mut warnings = findings.warnings.iter();
            warnings.any(|warning| warning.to_string().contains("a published key signs"))
        };
        assert!(doubts(&findings));
        assert!(!doubts(&sound));
    }
}
