//! Certificates of callers whose handshake was with a proxy in front, which tells of them in a header.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use percent_encoding::percent_decode;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use rustls_pki_types::CertificateDer;
use sallyport_snapshot::v1::{self, forwarded_certificate::Format as Told};
use sfv::{BareItem, Item, List, ListEntry, Parser};

use super::shown::{CallersCertificate, MAX_BYTES, MAX_CERTIFICATES, ShownCertificate};
use crate::digest::{sha256, sha256_of};

/// Memory for all that is remembered in a process, and how many that may be.
const REMEMBERED: (usize, u64) = (4096, 32 * 1024 * 1024);
/// Of one besides its certificates: verdicts are kept with each.
const ENTRY_BYTES: usize = 8 * 1024;
/// What is read from certificates takes so many times their length: names of a few bytes each are texts of their own then.
const READ: usize = 12;

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
        (ENTRY_BYTES + READ * shown.chain().iter().map(|one| one.len()).sum::<usize>()) as u64
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
        let lines = |name: &HeaderName| headers.get_all(name).iter();
        let chain = || self.chain.iter().flat_map(lines);
        // Whoever adds an empty line beside another's has not told of a certificate, and who has written the other nobody knows.
        let mut leaf = lines(&self.header);
        let line = match (leaf.next(), leaf.next()) {
            (None, _) if chain().next().is_none() => return CallersCertificate::NotShown,
            (Some(line), None) if line.is_empty() && chain().all(HeaderValue::is_empty) => {
                return CallersCertificate::NotShown;
            }
            (Some(line), None) => line,
            _ => return Self::of_nobody_knows_whom(),
        };
        let case = self.case(std::iter::once((0, line)).chain(chain().map(|line| (1, line))));
        if let Some(shown) = remembered.0.get(&case) {
            return CallersCertificate::Shown(shown);
        }
        match self.read(line.as_bytes(), chain()).filter(|chain| fits(chain)) {
            Some(chain) => {
                let shown = Arc::new(ShownCertificate::of_many_connections(chain));
                remembered.0.insert(case, Arc::clone(&shown));
                CallersCertificate::Shown(shown)
            }
            None => Self::of_nobody_knows_whom(),
        }
    }

    /// A certificate that cannot be read.
    pub fn of_nobody_knows_whom() -> CallersCertificate {
        CallersCertificate::Shown(Arc::new(ShownCertificate::new(Vec::new())))
    }

    /// Stands for the lines and what they are read by, each with its length before it.
    fn case<'a>(&self, lines: impl Iterator<Item = (u8, &'a HeaderValue)>) -> [u8; 32] {
        sha256_of(|context| {
            context.update(&[self.format as u8]);
            for (kind, line) in lines {
                context.update(&[kind]);
                context.update(&line.len().to_be_bytes());
                context.update(line.as_bytes());
            }
        })
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
/// caller. `Chain` begins with the certificate itself. Envoy writes `Hash` before all that a caller can choose, such as its names: where it stands, it is that of
/// the certificate.
fn xfcc(line: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let (mut certificate, mut chain, mut hash) = (None, None, None);
    for (key, value) in pairs(std::str::from_utf8(line).ok()?)? {
        let is_second = match key.to_ascii_lowercase().as_str() {
            "cert" => certificate.replace(escaped_pem(value.as_bytes())?).is_some(),
            "chain" => chain.replace(escaped_pem(value.as_bytes())?).is_some(),
            "hash" => hash.replace(value).is_some(),
            _ => false,
        };
        if is_second {
            return None;
        }
    }
    let told = match (certificate, chain) {
        (None, chain) => chain?,
        (Some(alone), None) if alone.len() == 1 => alone,
        (Some(alone), Some(chain)) if alone.len() == 1 && chain.first() == alone.first() => chain,
        (Some(_), _) => return None,
    };
    let is_hash_of = |hash: &String| told.first().is_some_and(|leaf| hexadecimal(leaf).eq_ignore_ascii_case(hash));
    hash.as_ref().is_none_or(is_hash_of).then_some(told)
}

fn hexadecimal(leaf: &CertificateDer<'_>) -> String {
    sha256(leaf).iter().map(|byte| format!("{byte:02x}")).collect()
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
        found.push((key, value));
        match letters.next() {
            None => return Some(found),
            Some(';') => {}
            // Another element, or something after a quote.
            Some(_) => return None,
        }
    }
}

/// Certificates in PEM, percent-encoded: the caller's first. Nothing else stands between them: what a reader of PEM passes over may be another's certificate.
fn escaped_pem(value: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let text = unescaped(value)?;
    let mut certificates = Vec::new();
    let mut rest = text.trim_end_matches(is_line_end);
    while !rest.is_empty() {
        let (body, after) = rest.strip_prefix(BEGIN)?.split_once(END)?;
        let body: String = body.strip_prefix(is_line_end)?.split(is_line_end).collect();
        certificates.push(STANDARD.decode(body).ok()?.into());
        let next = after.trim_start_matches(is_line_end);
        if !next.is_empty() && next.len() == after.len() {
            return None;
        }
        rest = next;
    }
    (!certificates.is_empty()).then_some(certificates)
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

fn is_line_end(letter: char) -> bool {
    matches!(letter, '\r' | '\n')
}

/// Percent-encoding of PEM (RFC 3986, 2.1): letters that PEM has, and escapes.
fn unescaped(value: &[u8]) -> Option<String> {
    let mut rest = value;
    while let [byte, after @ ..] = rest {
        rest = match (byte, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => after,
            (b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=', _) => after,
            (letter, _) if letter.is_ascii_alphanumeric() => after,
            _ => return None,
        };
    }
    String::from_utf8(percent_decode(value).collect()).ok()
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
        assert_eq!(of(&[("client-cert", ""), ("client-cert-chain", "")]), None);
        assert_eq!(of(&[("client_cert", &leaf), ("x-client-cert", &leaf)]), None);
        let long = std::iter::repeat_n(&*issuer, MAX_CERTIFICATES).collect::<Vec<_>>().join(",");
        let large = sequence(&vec![0; MAX_BYTES + 1]);
        for lines in [
            &[("client-cert", &*leaf), ("client-cert", &leaf)][..],
            &[("client-cert-chain", &issuer)],
            &[("client-cert", &leaf), ("client-cert", "")],
            &[("client-cert", ""), ("client-cert", &leaf)],
            &[("client-cert", ""), ("client-cert", "")],
            &[("client-cert", ""), ("client-cert-chain", &issuer)],
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
        let by = format!("By=spiffe://cluster.local/ns/a/sa/b;Hash={}", hexadecimal(&LEAF.into()));
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
            by.clone(),
            format!("Hash=00;Cert=\"{leaf}\""),
            format!("{by};Hash=00;Cert=\"{leaf}\""),
            format!("Hash={};URI=x;Cert=\"{leaf}\"", hexadecimal(&ISSUER.into())),
            format!(" Cert=\"{leaf}\""),
            format!("\u{2003}Cert=\"{leaf}\""),
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
        let raw = pem(&plus).replace('\n', "%0A").replace(' ', "%20");
        assert!(raw.contains('+'));
        assert_eq!(of(Told::EscapedPem, &raw), Some(vec![plus.to_vec()]));
        assert_eq!(of(Told::Base64Der, &STANDARD.encode(LEAF)), Some(vec![LEAF.to_vec()]));
        assert_eq!(of(Told::EscapedPem, ""), None);
        for (format, line) in [
            (Told::EscapedPem, pem(LEAF).replace('\n', " ")),
            (Told::EscapedPem, format!("{}, {}", escaped(&pem(LEAF)), escaped(&pem(ISSUER)))),
            (Told::EscapedPem, format!("{},{}", escaped(pem(LEAF).trim_end()), escaped(&pem(ISSUER)))),
            (Told::EscapedPem, escaped(&(pem(LEAF) + ", " + &pem(ISSUER)))),
            (Told::EscapedPem, escaped(&(pem(LEAF).trim_end().to_owned() + &pem(ISSUER)))),
            (Told::EscapedPem, escaped(&format!("x{}", pem(LEAF)))),
            (Told::EscapedPem, escaped(&format!("{}x", pem(LEAF)))),
            (Told::EscapedPem, escaped(&pem(LEAF).replace("CERTIFICATE", "PRIVATE KEY"))),
            (Told::EscapedPem, escaped(&(pem(LEAF) + &pem(ISSUER).replace("CERTIFICATE", "PRIVATE KEY")))),
            (
                Told::EscapedPem,
                escaped(&pem(LEAF).replace("-----BEGIN CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----")),
            ),
            (Told::EscapedPem, escaped(&pem(LEAF)) + "%"),
            (Told::EscapedPem, escaped(&pem(LEAF)) + "%0"),
            (Told::EscapedPem, escaped(&pem(LEAF)) + "%zz"),
            (Told::EscapedPem, escaped(&pem(LEAF)) + "%FF"),
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
