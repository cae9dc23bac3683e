//! SHA-256: by it keys, tokens and certificates are told apart without being kept.

use aws_lc_rs::digest::{Context, SHA256};

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// Of one piece.
pub fn sha256(bytes: &[u8]) -> Digest {
    finish(aws_lc_rs::digest::digest(&SHA256, bytes))
}

/// Of pieces that come one after the other.
pub fn sha256_of(feed: impl FnOnce(&mut Context)) -> Digest {
    let mut context = Context::new(&SHA256);
    feed(&mut context);
    finish(context.finish())
}

fn finish(digest: aws_lc_rs::digest::Digest) -> Digest {
    let mut bytes = Digest::default();
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2, appendix B.1.
    #[test]
    fn pieces_digest_like_the_whole() {
        let of_whole = sha256(b"abc");
        assert_eq!(&of_whole[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(of_whole, sha256_of(|context| [b"a", b"b", b"c"].iter().for_each(|one| context.update(*one))));
        assert_ne!(of_whole, sha256(b"abd"));
    }
}
