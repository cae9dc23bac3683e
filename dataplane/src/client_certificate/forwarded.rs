//! Certificates of callers whose handshake was with a proxy in front, which tells of them in a header.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use percent_encoding::percent_decode;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sallyport_snapshot::v1::{self, forwarded_certificate::Format as Told};
use sfv::{BareItem, Item, List, ListEntry, Parser};

use super::shown::{CallersCertificate, MAX_BYTES, MAX_CERTIFICATES, ShownCertificate};

/// Memory for all that is remembered in a process, and how many that may be: verdicts are kept with each.
const REMEMBERED: (usize, u64) = (4096, 16 * 1024 * 1024);
/// Of one besides its certificates.
const ENTRY_BYTES: usize = 1024;

/// Where trusted proxies tell of the certificates of callers, and how.
#[derive(Clone)]
pub struct ForwardedCertificate {
    header: HeaderName,
    /// What stands between the certificate and an authority (RFC 9440, 2.3).
    chain: Option<HeaderName>,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Rfc9440,
    /// As Envoy writes `x-forwarded-client-cert`.
    Xfcc,
    /// PEM in percent-encoding, as nginx writes `$ssl_client_escaped_cert`.
    EscapedPem,
    Base64Der,
    /// What this data plane does not know nobody can tell by.
    Unknown,
}

/// What was told before, by the digest of what told it.
pub struct Remembered(Cache<[u8; 32], Arc<ShownCertificate>, Size>);

#[derive(Clone)]
struct Size;

impl Weighter<[u8; 32], Arc<ShownCertificate>> for Size {
    fn weight(&self, _: &[u8; 32], shown: &Arc<ShownCertificate>) -> u64 {
        (ENTRY_BYTES + shown.chain().iter().map(|one| one.len()).sum::<usize>()) as u64
    }
}

impl Default for Remembered {
    fn default() -> Self {
        Self(Cache::with_weighter(REMEMBERED.0, REMEMBERED.1, Size))
    }
}

impl ForwardedCertificate {
    /// Parses the resource's word.
    pub fn build(message: &v1::ForwardedCertificate) -> Result<Self, String> {
        let name = |text: &str| {
            HeaderName::try_from(text).map_err(|_| format!("trustedProxies.clientCertificateHeader: {text:?}"))
        };
        let format = match message.format() {
            Told::Rfc9440 => Format::Rfc9440,
            Told::Xfcc => Format::Xfcc,
            Told::EscapedPem => Format::EscapedPem,
            Told::Base64Der => Format::Base64Der,
            Told::Unspecified => Format::Unknown,
        };
        let header = name(&message.header)?;
        let chain = (format == Format::Rfc9440).then(|| name(&format!("{}-chain", message.header))).transpose()?;
        Ok(Self { header, chain, format })
    }

    /// Stands in for one that does not parse: no certificate is readable.
    pub fn unreadable() -> Self {
        Self { header: HeaderName::from_static("client-cert"), chain: None, format: Format::Unknown }
    }

    /// What nobody else than a trusted proxy may say.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        std::iter::once(&self.header).chain(&self.chain)
    }

    /// The certificate that a trusted proxy tells of in `headers`. What cannot be read is refused like one that nobody trusts: never as if
    /// none had been shown.
    pub fn told(&self, headers: &HeaderMap, remembered: &Remembered) -> CallersCertificate {
        if self.format == Format::Unknown {
            return Self::of_nobody_knows_whom();
        }
        let lines = |name: &HeaderName| headers.get_all(name).iter().filter(|line| !line.is_empty());
        let chain = || self.chain.iter().flat_map(lines);
        if lines(&self.header).next().is_none() && chain().next().is_none() {
            return CallersCertificate::NotShown;
        }
        let case = self.case(lines(&self.header).map(|line| (0, line)).chain(chain().map(|line| (1, line))));
        if let Some(shown) = remembered.0.get(&case) {
            return CallersCertificate::Shown(shown);
        }
        let mut leaf = lines(&self.header);
        let read = match (leaf.next(), leaf.next()) {
            (Some(line), None) => self.read(line.as_bytes(), chain()),
            _ => None,
        };
        let shown = Arc::new(ShownCertificate::new(read.filter(|chain| fits(chain)).unwrap_or_default()));
        remembered.0.insert(case, Arc::clone(&shown));
        CallersCertificate::Shown(shown)
    }

    /// A certificate that cannot be read.
    pub fn of_nobody_knows_whom() -> CallersCertificate {
        CallersCertificate::Shown(Arc::new(ShownCertificate::new(Vec::new())))
    }

    /// Stands for the lines and what they are read by, each with its length before it.
    fn case<'a>(&self, lines: impl Iterator<Item = (u8, &'a HeaderValue)>) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        context.update(&[self.format as u8]);
        for (kind, line) in lines {
            context.update(&[kind]);
            context.update(&line.len().to_be_bytes());
            context.update(line.as_bytes());
        }
        let mut case = [0; 32];
        case.copy_from_slice(context.finish().as_ref());
        case
    }

    fn read<'a>(
        &self,
        line: &[u8],
        chain: impl Iterator<Item = &'a HeaderValue>,
    ) -> Option<Vec<CertificateDer<'static>>> {
        match self.format {
            Format::Rfc9440 => rfc9440(line, chain),
            Format::Xfcc => xfcc(line),
            Format::EscapedPem => escaped_pem(line),
            Format::Base64Der => Some(vec![STANDARD.decode(line).ok()?.into()]),
            Format::Unknown => None,
        }
    }
}

fn fits(chain: &[CertificateDer<'static>]) -> bool {
    chain.len() <= MAX_CERTIFICATES && chain.iter().map(|one| one.len()).sum::<usize>() <= MAX_BYTES
}

/// A byte sequence of Structured Fields, and a list of them (RFC 9440, 2.2 and 2.3).
fn rfc9440<'a>(line: &[u8], chain: impl Iterator<Item = &'a HeaderValue>) -> Option<Vec<CertificateDer<'static>>> {
    let mut certificates = vec![bytes_of(Parser::new(line).parse::<Item>().ok()?)?];
    // Lines of a list are read as one (RFC 9651, 4.2).
    let chain: Vec<_> = chain.map(HeaderValue::as_bytes).collect();
    if !chain.is_empty() {
        for entry in Parser::new(&chain.join(&b", "[..])).parse::<List>().ok()? {
            let ListEntry::Item(item) = entry else { return None };
            certificates.push(bytes_of(item)?);
        }
    }
    Some(certificates)
}

fn bytes_of(item: Item) -> Option<CertificateDer<'static>> {
    match item.bare_item {
        BareItem::ByteSequence(bytes) if item.params.is_empty() => Some(bytes.into()),
        _ => None,
    }
}

/// The one element that there is, by its certificate alone: hashes and names prove nothing, and of several elements nobody can tell which is of the
/// caller. `Chain` begins with the certificate itself.
fn xfcc(line: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let (mut certificate, mut chain) = (None, None);
    for (key, value) in pairs(std::str::from_utf8(line).ok()?)? {
        let found = match key.to_ascii_lowercase().as_str() {
            "cert" => &mut certificate,
            "chain" => &mut chain,
            _ => continue,
        };
        if found.replace(escaped_pem(value.as_bytes())?).is_some() {
            return None;
        }
    }
    match (certificate, chain) {
        (None, chain) => chain,
        (Some(alone), None) => (alone.len() == 1).then_some(alone),
        (Some(alone), Some(chain)) => (alone.len() == 1 && chain.first() == alone.first()).then_some(chain),
    }
}

/// The pairs of a line with exactly one element; values without their quotes.
fn pairs(line: &str) -> Option<Vec<(String, String)>> {
    let (mut found, mut letters) = (Vec::new(), line.chars().peekable());
    loop {
        let mut key = String::new();
        loop {
            match letters.next()? {
                '=' => break,
                ',' | ';' | '"' => return None,
                letter => key.push(letter),
            }
        }
        let mut value = String::new();
        if letters.next_if_eq(&'"').is_some() {
            loop {
                match letters.next()? {
                    '"' => break,
                    '\\' => value.push(letters.next()?),
                    letter => value.push(letter),
                }
            }
        } else {
            while let Some(letter) = letters.next_if(|letter| !matches!(letter, ',' | ';' | '"')) {
                value.push(letter);
            }
        }
        found.push((key.trim().to_owned(), value));
        match letters.next() {
            None => return Some(found),
            Some(';') => {}
            // Another element, or something after a quote.
            Some(_) => return None,
        }
    }
}

/// Certificates in PEM, percent-encoded: the caller's first.
fn escaped_pem(value: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let text: Vec<u8> = percent_decode(value).collect();
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().ok()?;
    (!certificates.is_empty()).then_some(certificates)
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;

    /// What stands for certificates: they are read as bytes here.
    const LEAF: &[u8] = b"leaf certificate";
    const ISSUER: &[u8] = b"issuer certificate";

    fn told(format: Told, header: &str, lines: &[(&str, &str)]) -> Option<Vec<Vec<u8>>> {
        let message = v1::ForwardedCertificate { header: header.into(), format: format.into() };
        let forwarded = ForwardedCertificate::build(&message).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let remembered = Remembered::default();
        let read = || match forwarded.told(&headers, &remembered) {
            CallersCertificate::NotShown => None,
            CallersCertificate::Shown(shown) => Some(shown.chain().iter().map(|one| one.to_vec()).collect()),
            CallersCertificate::NotAskedFor => panic!("a proxy has asked, or has not: it is told"),
        };
        let first = read();
        assert_eq!(read(), first, "what is remembered is the same");
        first
    }

    fn sequence(bytes: &[u8]) -> String {
        format!(":{}:", STANDARD.encode(bytes))
    }

    fn pem(bytes: &[u8]) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(bytes))
    }

    fn escaped(text: &str) -> String {
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
    }

    /// Somebody showed a certificate, of which nothing is known.
    const UNREADABLE: Option<Vec<Vec<u8>>> = Some(Vec::new());

    #[test]
    fn of_rfc_9440_one_byte_sequence_is_read_and_what_stands_behind_it() {
        let (leaf, issuer) = (sequence(LEAF), sequence(ISSUER));
        let of = |lines: &[(&str, &str)]| told(Told::Rfc9440, "client-cert", lines);
        assert_eq!(of(&[("client-cert", &leaf)]), Some(vec![LEAF.to_vec()]));
        let both = Some(vec![LEAF.to_vec(), ISSUER.to_vec()]);
        assert_eq!(of(&[("client-cert", &leaf), ("client-cert-chain", &issuer)]), both);
        let whole = Some(vec![LEAF.to_vec(), ISSUER.to_vec(), LEAF.to_vec(), ISSUER.to_vec()]);
        let chain = format!("{issuer},{leaf}");
        assert_eq!(of(&[("client-cert", &leaf), ("client-cert-chain", &chain), ("client-cert-chain", &issuer)]), whole);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("client-cert", "")]), None, "nothing is told of");
        assert_eq!(of(&[("client_cert", &leaf), ("x-client-cert", &leaf)]), None);
        let long = std::iter::repeat_n(&*issuer, MAX_CERTIFICATES).collect::<Vec<_>>().join(",");
        let large = sequence(&vec![0; MAX_BYTES + 1]);
        for lines in [
            &[("client-cert", &*leaf), ("client-cert", &leaf)][..],
            &[("client-cert-chain", &issuer)],
            &[("client-cert", &format!("{leaf}, {leaf}"))],
            &[("client-cert", &format!("{leaf};a=1"))],
            &[("client-cert", &STANDARD.encode(LEAF))],
            &[("client-cert", &leaf[..leaf.len() - 1])],
            &[("client-cert", "\"text\"")],
            &[("client-cert", "::")],
            &[("client-cert", &format!("({leaf})"))],
            &[("client-cert", &leaf), ("client-cert-chain", "nonsense")],
            &[("client-cert", &leaf), ("client-cert-chain", &format!("({issuer})"))],
            &[("client-cert", &leaf), ("client-cert-chain", &long)],
            &[("client-cert", &large)],
        ] {
            let found = of(lines);
            assert!(found == UNREADABLE || found == Some(vec![vec![]]), "{lines:?}: {found:?}");
        }
    }

    #[test]
    fn of_envoys_header_the_certificate_of_the_one_element_is_read() {
        let (leaf, both) = (escaped(&pem(LEAF)), escaped(&(pem(LEAF) + &pem(ISSUER))));
        let of = |line: &str| told(Told::Xfcc, "x-forwarded-client-cert", &[("x-forwarded-client-cert", line)]);
        let alone = Some(vec![LEAF.to_vec()]);
        let chain = Some(vec![LEAF.to_vec(), ISSUER.to_vec()]);
        let by = "By=spiffe://cluster.local/ns/a/sa/b;Hash=468ed33b";
        for (line, expected) in [
            (format!("Cert=\"{leaf}\""), &alone),
            (format!("{by};Cert=\"{leaf}\""), &alone),
            (format!("{by};Subject=\"CN=a,O=\\\"b; c\\\"\";URI=spiffe://a;Cert=\"{leaf}\";DNS=a;DNS=b"), &alone),
            (format!("{by};Chain=\"{both}\""), &chain),
            (format!("cert=\"{leaf}\";chain=\"{both}\""), &chain),
        ] {
            assert_eq!(of(&line), *expected, "{line}");
        }
        for line in [
            by.to_owned(),
            format!("{by};Subject=\"CN=a;Cert={leaf}\""),
            format!("{by};Subject=\"CN=a\\\";Cert=\\\"{leaf}\""),
            format!("Cert=\"{leaf}\",Cert=\"{leaf}\""),
            format!("Cert=\"{leaf}\",{by}"),
            format!("{by},Cert=\"{leaf}\""),
            format!("Cert=\"{leaf}\";Cert=\"{leaf}\""),
            format!("Cert=\"{both}\""),
            format!("Cert=\"{}\";Chain=\"{both}\"", escaped(&pem(ISSUER))),
            format!("Cert=\"{leaf}"),
            format!("Cert=\"{leaf}\"x;By=a"),
            format!("Cert=\"{leaf}\";"),
            format!("Cert {leaf}"),
            "Cert=nonsense".to_owned(),
            "Cert=".to_owned(),
            ";".to_owned(),
            "=".to_owned(),
        ] {
            assert_eq!(of(&line), UNREADABLE, "{line}");
        }
    }

    #[test]
    fn of_other_proxies_a_header_holds_pem_or_der() {
        let of = |format, line: &str| told(format, "ssl-client-cert", &[("ssl-client-cert", line)]);
        assert_eq!(of(Told::EscapedPem, &escaped(&pem(LEAF))), Some(vec![LEAF.to_vec()]));
        // A plus stands for itself.
        let plus = [0xfb, 0xef, 0xbe];
        let raw = pem(&plus).replace('\n', "%0A");
        assert!(raw.contains('+'));
        assert_eq!(of(Told::EscapedPem, &raw), Some(vec![plus.to_vec()]));
        assert_eq!(of(Told::Base64Der, &STANDARD.encode(LEAF)), Some(vec![LEAF.to_vec()]));
        assert_eq!(of(Told::EscapedPem, ""), None);
        for (format, line) in [
            (Told::EscapedPem, pem(LEAF).replace('\n', " ")),
            (Told::EscapedPem, "nonsense".to_owned()),
            (Told::EscapedPem, escaped("-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n")),
            (Told::EscapedPem, STANDARD.encode(LEAF)),
            (Told::Base64Der, sequence(LEAF)),
            (Told::Base64Der, escaped(&pem(LEAF))),
            (Told::Base64Der, STANDARD.encode(b"le").replace('=', "")),
            (Told::Unspecified, sequence(LEAF)),
        ] {
            assert_eq!(of(format, &line), UNREADABLE, "{line}");
        }
    }
}
