//! Cases about who signed: the contents are sound.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::Signer as _;
use swarm_artifact::{ArchiveDigest, KeyRole, SignatureFile, Trust};

use super::raw::Skill;
use super::{
    Bench, Expected, IN_2020, IN_2100, MALLORY, SITE_A, SITE_A_SECOND_KEY, SITE_B, refused, signed, trusting,
};

const GET_AGAIN: &str = "the archive or its signature was changed: get both again from the signer";

pub(super) fn add_to(bench: &mut Bench) -> anyhow::Result<()> {
    let archive = Skill::sound()?.archive()?;
    good(bench, &archive)?;
    bad_signatures(bench, &archive)?;
    keys_that_do_not_count(bench, &archive)?;
    too_few(bench, &archive)?;
    signature_files(bench, &archive)
}

fn good(bench: &mut Bench, archive: &[u8]) -> anyhow::Result<()> {
    let mut add = |name, signatures: &SignatureFile, trust: &Trust| {
        bench.add(name, archive, Some(&signatures.to_yaml()), trust, Expected::Good).map(|_| ())
    };
    add("good_one_signature", &signed(archive, &[SITE_A]), &trusting(1, &[SITE_A, SITE_B]))?;
    add("good_two_of_two", &signed(archive, &[SITE_B, SITE_A]), &trusting(2, &[SITE_A, SITE_B]))?;
    let with_stranger = signed(archive, &[MALLORY, SITE_A]);
    add("good_beside_an_unknown_key", &with_stranger, &trusting(1, &[SITE_A]))?;
    let mut one_revoked = trusting(1, &[SITE_A, SITE_B]);
    one_revoked.keys[1].revoked = true;
    add("good_beside_a_revoked_key", &signed(archive, &[SITE_B, SITE_A]), &one_revoked)?;
    let mut beside_bad = signed(archive, &[SITE_B, SITE_A]);
    beside_bad.signatures[0].signature = beside_bad.signatures[1].signature;
    add("good_beside_a_bad_signature", &beside_bad, &trusting(1, &[SITE_A, SITE_B]))?;
    let mut without_limits = trusting(1, &[SITE_A]);
    (without_limits.keys[0].not_before_unix, without_limits.keys[0].not_after_unix) = (None, None);
    add("good_key_without_limits", &signed(archive, &[SITE_A]), &without_limits)?;

    let signature = signed(archive, &[SITE_A]).signatures[0].signature;
    let json = format!(
        "{{\"schema_version\": 1, \"signatures\": [{{\"key_id\": \"{}\", \"signer\": \"site_a\", \"signature\": \"{}\"}}]}}\n",
        SITE_A.id(),
        BASE64.encode(signature.to_bytes())
    );
    bench.add(
        "good_signature_file_in_json",
        archive,
        Some(&json),
        &trusting(1, &[SITE_A]),
        Expected::Good,
    )?;
    Ok(())
}

fn bad_signatures(bench: &mut Bench, archive: &[u8]) -> anyhow::Result<()> {
    let trust = trusting(1, &[SITE_A]);
    let bad = |archive: &[u8]| {
        let (artifact, key) = (ArchiveDigest::of(archive).id, SITE_A.id());
        let reason = format!("the signature of site_a with key {key} does not match this archive");
        refused(
            "bad_signature",
            format!(
                "bad signature on artifact {artifact}: {reason}; 0 of 1 needed signers count; {GET_AGAIN}"
            ),
        )
    };
    let signatures = signed(archive, &[SITE_A]);
    let text = signatures.to_yaml();

    let mut other = signatures.clone();
    other.signatures[0].signature = signed(b"another archive", &[SITE_A]).signatures[0].signature;
    bench.add("signature_of_another_archive", archive, Some(&other.to_yaml()), &trust, bad(archive))?;

    let mut flipped = archive.to_vec();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    bench.add("one_bit_of_the_archive_changed", &flipped, Some(&text), &trust, bad(&flipped))?;

    let cut = &archive[..archive.len() - 100];
    bench.add("archive_cut_off", cut, Some(&text), &trust, bad(cut))?;

    let longer = [archive, b"more"].concat();
    bench.add("bytes_added_to_the_archive", &longer, Some(&text), &trust, bad(&longer))?;

    // A signature by the right key over the right hash, but made for another purpose.
    let mut without_domain = signatures.clone();
    without_domain.signatures[0].signature = SITE_A.key().sign(&ArchiveDigest::of(archive).id.0.0);
    bench.add(
        "signature_without_the_domain",
        archive,
        Some(&without_domain.to_yaml()),
        &trust,
        bad(archive),
    )?;

    // Mallory signs and puts site_a's key id beside it.
    let mut borrowed = signed(archive, &[MALLORY]);
    borrowed.signatures[0].key_id = SITE_A.id();
    bench.add(
        "signature_under_a_borrowed_key_id",
        archive,
        Some(&borrowed.to_yaml()),
        &trust,
        bad(archive),
    )?;
    Ok(())
}

fn keys_that_do_not_count(bench: &mut Bench, archive: &[u8]) -> anyhow::Result<()> {
    let (artifact, key) = (ArchiveDigest::of(archive).id, SITE_A.id());
    let text = signed(archive, &[SITE_A]).to_yaml();
    let none = "0 of 1 needed signers count";

    let by_mallory = signed(archive, &[MALLORY]).to_yaml();
    let message = format!(
        "unknown key on artifact {artifact}: key {} (which calls itself 'mallory') is not in the trust file; {none}; \
         if the signer is to be believed, add its public key to the trust file",
        MALLORY.id()
    );
    let expected = refused("unknown_key", message);
    bench.add("unknown_key", archive, Some(&by_mallory), &trusting(1, &[SITE_A]), expected)?;

    let mut trust = trusting(1, &[SITE_A]);
    trust.keys[0].not_after_unix = Some(IN_2020);
    let message = format!(
        "expired key on artifact {artifact}: key {key} of site_a expired at 2020-01-01T00:00:00Z, and it is \
         2027-01-15T08:00:00Z; {none}; have it signed again with a current key (and check this machine's clock)"
    );
    bench.add("expired_key", archive, Some(&text), &trust, refused("expired_key", message))?;

    let mut trust = trusting(1, &[SITE_A]);
    trust.keys[0].not_before_unix = Some(IN_2100);
    let message = format!(
        "key not yet valid on artifact {artifact}: key {key} of site_a is valid from 2100-01-01T00:00:00Z, and it is \
         2027-01-15T08:00:00Z; {none}; check this machine's clock"
    );
    bench.add("key_not_yet_valid", archive, Some(&text), &trust, refused("key_not_yet_valid", message))?;

    let mut trust = trusting(1, &[SITE_A]);
    trust.keys[0].revoked = true;
    let message = format!(
        "revoked key on artifact {artifact}: key {key} of site_a is revoked; {none}; have it signed again with a key that \
         is not revoked"
    );
    bench.add("revoked_key", archive, Some(&text), &trust, refused("revoked_key", message))?;

    let mut trust = trusting(1, &[SITE_A, SITE_B]);
    trust.keys[0].roles = BTreeSet::from([KeyRole::Registry]);
    let message = format!(
        "key without the role on artifact {artifact}: key {key} of site_a has no role 'artifact' in the trust file; {none}; \
         have it signed with a key that may sign artifacts"
    );
    bench.add("key_without_the_role", archive, Some(&text), &trust, refused("key_without_role", message))?;
    Ok(())
}

fn too_few(bench: &mut Bench, archive: &[u8]) -> anyhow::Result<()> {
    let artifact = ArchiveDigest::of(archive).id;
    let one_of_two = || {
        let message = format!(
            "too few signatures on artifact {artifact}: 1 of 2 needed signers count (site_a); have further signers sign it"
        );
        refused("too_few_signatures", message)
    };
    let text = signed(archive, &[SITE_A]).to_yaml();
    bench.add("one_signature_of_two", archive, Some(&text), &trusting(2, &[SITE_A, SITE_B]), one_of_two())?;

    let mut twice = signed(archive, &[SITE_A]);
    twice.signatures.push(twice.signatures[0].clone());
    bench.add(
        "same_key_twice",
        archive,
        Some(&twice.to_yaml()),
        &trusting(2, &[SITE_A, SITE_B]),
        one_of_two(),
    )?;

    let both = signed(archive, &[SITE_A, SITE_A_SECOND_KEY]).to_yaml();
    let trust = trusting(2, &[SITE_A, SITE_A_SECOND_KEY, SITE_B]);
    bench.add("two_keys_of_one_signer", archive, Some(&both), &trust, one_of_two())?;

    let message = format!(
        "too few signatures on artifact {artifact}: 0 of 1 needed signers count; have further signers sign it"
    );
    let none = SignatureFile::empty().to_yaml();
    let expected = refused("too_few_signatures", message);
    bench.add("no_signature", archive, Some(&none), &trusting(1, &[SITE_A]), expected)?;
    Ok(())
}

fn signature_files(bench: &mut Bench, archive: &[u8]) -> anyhow::Result<()> {
    let trust = trusting(1, &[SITE_A]);
    let path =
        |name: &str, bench: &Bench| bench.folder.join(name).join("artifact.tar.gz.sig").display().to_string();

    let name = "no_signature_file";
    let message = format!(
        "there is no signature file '{}'; sign the artifact with `cell sign`, or name its signature file",
        path(name, bench)
    );
    bench.add(name, archive, None, &trust, refused("no_signature_file", message))?;

    let name = "signature_of_63_bytes";
    let text = format!(
        "schema_version: 1\nsignatures:\n- key_id: \"{}\"\n  signer: site_a\n  signature: \"{}\"\n",
        SITE_A.id(),
        BASE64.encode([0; 63])
    );
    let message = format!(
        "'{}': the signature file cannot be read: line 5, column 14: signatures[0].signature: expected the base64 of 64 bytes (an \
         Ed25519 signature)",
        path(name, bench)
    );
    bench.add(name, archive, Some(&text), &trust, refused("bad_signature_file", message))?;

    let name = "signature_file_is_not_yaml";
    let message = format!(
        "'{}': the signature file cannot be read: line 3, column 1: not YAML: while parsing a node, did not find expected node content \
         (in what begins on line 2, column 13)",
        path(name, bench)
    );
    let text = "schema_version: 1\nsignatures: [\n";
    bench.add(name, archive, Some(text), &trust, refused("bad_signature_file", message))?;
    Ok(())
}
