//! `towline keys`: a key pair of one's own for providers that sign with a private key, so that an app which trusts the
//! public half can be tried with signed webhooks.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use towline_shared::verify::{KeyKind, PrivateKey, Provider};

use super::provider_options::check_provider;
use super::{Context, Exit, Failure};
use crate::samples;
use crate::screen::paint;
use crate::settings::read_secret_file;

/// Make key pairs to try apps with that check a provider's public key
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key pair; the public half is printed as the app's settings expect it
    #[command(after_help = "\
Writes PREFIX.key.pem, which only you can read, and PREFIX.pub. An existing file is never overwritten. RSA keys \
are made with openssl and given to `towline keys public`.

Examples:
  towline keys new discord
  towline trigger discord.interaction --to 3000 --key-file discord.key.pem
  towline keys new --algorithm p256 --form jwk --out local")]
    New(New),
    /// Print the public half of a private key
    #[command(after_help = "\
Examples:
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out wise.key.pem
  towline keys public wise.key.pem wise
  towline keys public local.key.pem --form jwk")]
    Public(Public),
}

/// The options of `new`.
#[derive(Debug, Args)]
pub struct New {
    /// The provider whose key is to be stood in for, such as `discord`
    #[arg(required_unless_present = "algorithm")]
    provider: Option<String>,
    /// The kind of key: ed25519 or p256 [default: the provider's]
    #[arg(long, value_name = "KIND")]
    algorithm: Option<KeyKind>,
    /// What the names of the two files begin with [default: the provider or the kind]
    #[arg(long, value_name = "PREFIX")]
    out: Option<PathBuf>,
    /// The form of the public half [default: the provider's, else pem]
    #[arg(long, value_name = "FORM", value_enum)]
    form: Option<Form>,
}

/// The options of `public`.
#[derive(Debug, Args)]
pub struct Public {
    /// The private key (PEM)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The provider in whose form it is printed
    provider: Option<String>,
    /// The form of the public half [default: the provider's, else pem]
    #[arg(long, value_name = "FORM", value_enum)]
    form: Option<Form>,
}

/// How a public key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Between BEGIN and END lines
    Pem,
    /// In one line, as `SendGrid` and Telnyx show theirs
    Base64,
    /// In one line, as Discord shows its key
    Hex,
    /// As JSON, for key sets
    Jwk,
}

/// A key as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    algorithm: &'static str,
    key_id: String,
    public_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key_file: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key_file: Option<&'a Path>,
}

/// Makes or shows a key.
///
/// # Errors
/// When the provider has no such key, or a file cannot be written or read.
pub fn run(command: &Command, context: &Context) -> anyhow::Result<Exit> {
    match command {
        Command::New(arguments) => new(arguments, context),
        Command::Public(arguments) => public(arguments, context),
    }
}

/// Reads a private key from a file.
///
/// # Errors
/// When it cannot be read, or is no key that can be used.
pub(super) fn read_private_key(path: &Path) -> anyhow::Result<PrivateKey> {
    let text = read_secret_file(path)?;
    let key = PrivateKey::from_pem(text.expose()).map_err(|error| {
        Failure::invalid(format!(
            "`{}` cannot be used as a private key",
            path.display()
        ))
        .because(error)
        .hint("`openssl pkcs8 -topk8 -nocrypt -in FILE` writes a key in the form that is read here")
    })?;
    Ok(key)
}

fn new(arguments: &New, context: &Context) -> anyhow::Result<Exit> {
    let provider = provider(arguments.provider.as_deref())?;
    let kind = kind(provider.as_deref(), arguments.algorithm)?;
    let Some(text) = PrivateKey::generate(kind) else {
        return Err(anyhow::anyhow!("no random numbers"));
    };
    let key = PrivateKey::from_pem(text.as_bytes())?;
    let public_key = public_text(&key, provider.as_deref(), arguments.form)?;
    let name = arguments.provider.as_deref().unwrap_or(kind.name());
    let prefix = arguments.out.clone().unwrap_or_else(|| PathBuf::from(name));
    let (private_path, public_path) = (with_end(&prefix, ".key.pem"), with_end(&prefix, ".pub"));
    write_new(&private_path, text.as_bytes(), 0o600)?;
    write_new(
        &public_path,
        format!("{}\n", public_key.trim_end()).as_bytes(),
        0o644,
    )?;
    if context.global.json {
        context.screen.json(&Shown {
            algorithm: kind.name(),
            key_id: key.key_id(),
            public_key: &public_key,
            private_key_file: Some(&private_path),
            public_key_file: Some(&public_path),
        })?;
        return Ok(Exit::Done);
    }
    context.screen.data(public_key.trim_end())?;
    context.screen.notice(&format!(
        "{} {} and {}; let your app trust the public half while you try it, and sign with `--key-file {}`",
        paint::good("written"),
        private_path.display(),
        public_path.display(),
        private_path.display(),
    ));
    Ok(Exit::Done)
}

fn public(arguments: &Public, context: &Context) -> anyhow::Result<Exit> {
    let provider = provider(arguments.provider.as_deref())?;
    let key = read_private_key(&arguments.file)?;
    let public_key = public_text(&key, provider.as_deref(), arguments.form)?;
    if context.global.json {
        context.screen.json(&Shown {
            algorithm: key.kind().name(),
            key_id: key.key_id(),
            public_key: &public_key,
            private_key_file: None,
            public_key_file: None,
        })?;
    } else {
        context.screen.data(public_key.trim_end())?;
    }
    Ok(Exit::Done)
}

fn provider(slug: Option<&str>) -> Result<Option<Arc<Provider>>, Failure> {
    slug.map(check_provider).transpose()
}

/// The kind of key to make.
fn kind(provider: Option<&Provider>, wanted: Option<KeyKind>) -> Result<KeyKind, Failure> {
    let all = provider.map(|provider| provider.key_kinds(None));
    let slug = provider.map_or("local", Provider::slug);
    if all.as_ref().is_some_and(Vec::is_empty) {
        let message = format!("`{slug}` signs with a secret, not with a private key");
        return Err(Failure::invalid(message).hint(
            "any text can be the secret while you try your app: give it with `--secret-file`",
        ));
    }
    let kinds = all.unwrap_or_default();
    if let Some(wanted) = wanted
        && !kinds.is_empty()
        && !kinds.contains(&wanted)
    {
        let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
        let message = format!("`{slug}` signs with a key of {}", names.join(" or "));
        return Err(Failure::invalid(message));
    }
    let mut made_here = kinds.iter().copied().filter(|kind| *kind != KeyKind::Rsa);
    match wanted.or_else(|| made_here.next()) {
        Some(KeyKind::Rsa) | None => {
            let file = format!("{slug}.key.pem");
            let name = if provider.is_some() { slug } else { "" };
            let failure = Failure::invalid("RSA keys are not made here".to_owned());
            Err(failure.hint(format!(
                "`openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out {file}` makes one, and \
                 `towline keys public {file} {name}` prints its public half"
            )))
        }
        Some(kind) => Ok(kind),
    }
}

fn public_text(
    key: &PrivateKey,
    provider: Option<&Provider>,
    form: Option<Form>,
) -> Result<String, Failure> {
    let own_form = || {
        let name = samples::public_key_form(provider?.slug())?;
        Form::from_str(name, true).ok()
    };
    match (form.or_else(own_form), provider) {
        (None, Some(provider)) => provider.public_key_text(None, key).map_err(|error| {
            Failure::invalid("the public half cannot be shown in the provider's form")
                .because(error)
        }),
        (None | Some(Form::Pem), _) => Ok(key.public_pem()),
        (Some(Form::Base64), _) => Ok(key.public_base64()),
        (Some(Form::Hex), _) => Ok(key.public_hex()),
        (Some(Form::Jwk), _) => Ok(key.public_jwk()),
    }
}

fn with_end(prefix: &Path, end: &str) -> PathBuf {
    let mut name = prefix.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Writes a file that is not there yet.
fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(content));
    written.map_err(|error| {
        let failure = Failure::invalid(format!("could not write `{}`", path.display()));
        failure
            .because(error)
            .hint("name another place with `--out PREFIX`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_the_providers_own() {
        let kind_for = |slug: &str, wanted| kind(Some(&Provider::builtin(slug).unwrap()), wanted);

        assert_eq!(kind_for("discord", None).unwrap(), KeyKind::Ed25519);
        assert_eq!(kind_for("sendgrid", None).unwrap(), KeyKind::P256);
        assert!(kind_for("discord", Some(KeyKind::P256)).is_err());
        assert!(
            kind_for("wise", None)
                .unwrap_err()
                .to_string()
                .contains("RSA")
        );
        assert!(
            kind_for("github", None)
                .unwrap_err()
                .to_string()
                .contains("secret")
        );
        assert_eq!(kind(None, Some(KeyKind::P256)).unwrap(), KeyKind::P256);
    }

    #[test]
    fn the_public_half_has_the_providers_form_unless_another_is_asked_for() {
        let text = PrivateKey::generate(KeyKind::Ed25519).unwrap();
        let key = PrivateKey::from_pem(text.as_bytes()).unwrap();
        let discord = Provider::builtin("discord").unwrap();
        let shown = |provider, form| public_text(&key, provider, form).unwrap();

        assert_eq!(shown(Some(&*discord), None), key.public_hex());
        assert_eq!(shown(Some(&*discord), Some(Form::Pem)), key.public_pem());
        assert_eq!(shown(None, None), key.public_pem());
        assert_eq!(shown(None, Some(Form::Jwk)), key.public_jwk());
    }

    #[test]
    fn an_existing_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = with_end(&folder.path().join("a"), ".key.pem");

        write_new(&path, b"1", 0o600).unwrap();

        assert!(write_new(&path, b"2", 0o600).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"1");
    }
}
