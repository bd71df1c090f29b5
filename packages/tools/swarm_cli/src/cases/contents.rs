//! Cases about what is inside: the signature is good, and the archive must be refused all the same (or not).

use semver::Version;
use swarm_artifact::{ArchiveDigest, Sha256Sum, SkillSource};
use tar::EntryType;

use super::raw::{ENVELOPE, RawArchive, Skill, TREE, header};
use super::{Bench, Expected, refused};

pub(super) fn add_to(bench: &mut Bench) -> anyhow::Result<()> {
    good(bench)?;
    versions(bench)?;
    names(bench)?;
    kinds(bench)?;
    against_the_manifest(bench)?;
    manifests(bench)?;
    damaged(bench)?;
    too_much(bench)
}

impl Bench {
    /// A case with a good signature of site_a, refused with `artifact ... is refused: PROBLEM`.
    fn add_refused(
        &mut self,
        name: &'static str,
        archive: &[u8],
        code: &'static str,
        problem: &str,
    ) -> anyhow::Result<()> {
        let message = format!("artifact {} is refused: {problem}", ArchiveDigest::of(archive).id);
        self.add_signed(name, archive, refused(code, message)).map(|_| ())
    }
}

fn good(bench: &mut Bench) -> anyhow::Result<()> {
    let skill = Skill::sound()?;
    let sound = skill.archive()?;
    bench.add_signed("good_newer_version", &sound, Expected::Good)?.deployed = Some(Version::new(0, 9, 0));

    let mut archive = skill.open_archive()?.end();
    archive.tar.resize(archive.tar.len().next_multiple_of(10_240), 0);
    bench.add_signed("good_filled_up_like_gnu_tar", &archive.gzip()?, Expected::Good)?;

    let mut larger = skill.clone();
    let weights: Vec<u8> =
        (0..300_000_u32).flat_map(|x| x.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    larger.files.insert(0, ("policies/mate.onnx", weights));
    bench.add_signed("good_with_an_unreferenced_file", &larger.archive()?, Expected::Good)?;
    bench.add_signed("good_with_a_policy_of_chunks", &with_chunks()?.archive()?, Expected::Good)?;
    Ok(())
}

/// The files of a policy with chunks.
const CHUNKS: [&str; 3] = ["policies/reach.golden.json", "policies/reach.onnx", "policies/reach.stats.json"];

/// With a policy that answers with chunks of actions, and its three files.
fn with_chunks() -> anyhow::Result<Skill> {
    let mut skill = Skill::sound()?;
    let policy = "policies:\n  reach:\n    file: policies/reach.onnx\n    golden: policies/reach.golden.json\n    \
        deadline_us: 200000\n    statistics: policies/reach.stats.json\n    max_deviation: 6.0\n    inputs:\n      \
        observation.state: {of: [joint_position, pose_of part_a], rate_hz: 125, max_age_us: 40000}\n    \
        chunk: {action: joint_position, horizon: 16, period_us: 100000, replan_us: 400000}\n";
    let text = format!(
        "{}{policy}",
        super::raw::SOURCE.replace("robot_group: leader}", "robot_group: leader, policy: reach}")
    );
    skill.source = SkillSource::parse(&text)?;
    skill.files.extend(CHUNKS.map(|path| (path, b"whatever".to_vec())));
    Ok(skill)
}

fn versions(bench: &mut Bench) -> anyhow::Result<()> {
    let sound = Skill::sound()?.archive()?;
    let message = "skill 'assembly': version 1.0.0 is older than the deployed 1.1.0; to go back on purpose, ask for a rollback";
    let case =
        bench.add_signed("older_version_without_a_rollback", &sound, refused("older_version", message))?;
    case.deployed = Some(Version::new(1, 1, 0));
    let message = "skill 'assembly': version 1.0.0 is deployed already (as 1.0.0) with other content; give the new artifact \
                   a higher version";
    let case = bench.add_signed("same_version_again", &sound, refused("equal_version", message))?;
    case.deployed = Some(Version::new(1, 0, 0));
    Ok(())
}

fn names(bench: &mut Bench) -> anyhow::Result<()> {
    let skill = Skill::sound()?;
    let cases: [(&'static str, &[u8], &str); 5] = [
        (
            "path_traversal",
            b"trees/../../../etc/cron.d/x",
            "'trees/../../../etc/cron.d/x' contains a '..' segment and would leave the artifact's folder",
        ),
        (
            "absolute_path",
            b"/etc/cron.d/x",
            "'/etc/cron.d/x' is absolute; paths in an artifact are relative to its root",
        ),
        ("name_is_not_utf8", b"trees/\xff.xml", r"the name is not UTF-8: 'trees/\xff.xml'"),
        (
            "name_with_control_characters",
            b"trees/\x1b[2J.xml",
            r"'trees/\u{1b}[2J.xml' has the segment '\u{1b}[2J.xml'; use letters, digits, '.', '_' and '-', and no leading dot",
        ),
        (
            "name_with_backslashes",
            b"..\\..\\x",
            r"'..\\..\\x' contains a '..' segment and would leave the artifact's folder",
        ),
    ];
    for (name, path, problem) in cases {
        let mut archive = skill.open_archive()?;
        archive.entry(&header(path, EntryType::Regular, 4), b"evil");
        let problem = format!("entry 3 has a name that is refused: {problem}");
        bench.add_refused(name, &archive.end().gzip()?, "bad_path", &problem)?;
    }
    Ok(())
}

fn kinds(bench: &mut Bench) -> anyhow::Result<()> {
    let skill = Skill::sound()?;
    let cases = [
        ("symbolic_link", EntryType::Symlink, "/etc/passwd", "symbolic link"),
        ("hard_link", EntryType::Link, "manifest.yaml", "hard link"),
        ("device", EntryType::Char, "", "device"),
        ("named_pipe", EntryType::Fifo, "", "named pipe"),
        ("folder_entry", EntryType::Directory, "", "folder"),
    ];
    for (name, kind, link, called) in cases {
        let mut archive = skill.open_archive()?;
        archive.special("trees/extra", kind, link);
        let problem = format!(
            "'trees/extra' is a {called}; an artifact contains regular files only (make it with `cell package`)"
        );
        bench.add_refused(name, &archive.end().gzip()?, "not_a_file", &problem)?;
    }

    // A PAX header that renames the entry behind it: readers that know PAX see another name than those that do not.
    let mut archive = RawArchive::with_manifest(&skill.manifest()?.to_yaml());
    let record = b"31 path=../../../etc/cron.d/xy\n";
    archive.entry(&header(b"pax", EntryType::XHeader, record.len() as u64), record);
    for (path, bytes) in &skill.files {
        archive.file(path, bytes);
    }
    let problem = "'pax' is a tar header extension; an artifact contains regular files only (make it with `cell package`)";
    bench.add_refused("pax_header_renames_an_entry", &archive.end().gzip()?, "not_a_file", problem)
}

fn against_the_manifest(bench: &mut Bench) -> anyhow::Result<()> {
    let skill = Skill::sound()?;
    let text = skill.manifest()?.to_yaml();
    let tree = &skill.files[1].1;

    let mut archive = skill.open_archive()?;
    archive.file("trees/extra.xml", b"evil");
    let problem = "'trees/extra.xml' is in the archive but not in the manifest";
    bench.add_refused("file_not_in_the_manifest", &archive.end().gzip()?, "not_in_manifest", problem)?;

    let mut archive = skill.open_archive()?;
    archive.file(TREE, tree);
    bench.add_refused(
        "duplicate_entry",
        &archive.end().gzip()?,
        "duplicate_entry",
        &format!("'{TREE}' is in the archive twice"),
    )?;

    let mut archive = skill.open_archive()?;
    archive.file("manifest.yaml", text.as_bytes());
    let problem = "'manifest.yaml' is in the archive twice";
    bench.add_refused("second_manifest", &archive.end().gzip()?, "duplicate_entry", problem)?;

    let mut changed = skill.clone();
    changed.files[1].1[0] ^= 1;
    let mut archive = RawArchive::with_manifest(&text);
    for (path, bytes) in &changed.files {
        archive.file(path, bytes);
    }
    let (expected, actual) = (Sha256Sum::of(tree), Sha256Sum::of(&changed.files[1].1));
    let problem = format!("'{TREE}' has SHA-256 {actual}, the manifest says {expected}");
    bench.add_refused("hash_mismatch", &archive.end().gzip()?, "hash_mismatch", &problem)?;

    let mut archive = RawArchive::with_manifest(&text);
    archive.file(ENVELOPE, &skill.files[0].1);
    archive.file(TREE, &[tree.as_slice(), b"\n"].concat());
    let problem = format!("'{TREE}' is {} bytes long, the manifest says {}", tree.len() + 1, tree.len());
    bench.add_refused("size_mismatch", &archive.end().gzip()?, "size_mismatch", &problem)?;

    let mut archive = RawArchive::with_manifest(&text);
    archive.file(ENVELOPE, &skill.files[0].1);
    let problem = format!("'{TREE}' is in the manifest but not in the archive");
    bench.add_refused("missing_file", &archive.end().gzip()?, "missing_file", &problem)
}

fn manifests(bench: &mut Bench) -> anyhow::Result<()> {
    let skill = Skill::sound()?;
    let text = skill.manifest()?.to_yaml();
    let mut add = |name, text: &str, code, problem: &str| {
        let mut archive = RawArchive::with_manifest(text);
        for (path, bytes) in &skill.files {
            archive.file(path, bytes);
        }
        bench.add_refused(name, &archive.end().gzip()?, code, problem)
    };
    add(
        "wrong_schema_version",
        &text.replace("schema_version: 1", "schema_version: 2"),
        "wrong_schema_version",
        "manifest.yaml has schema version 2, this program reads 1; package the skill again, or use the program version that \
         belongs to it",
    )?;
    add(
        "manifest_with_mistakes",
        &text
            .replace("skill_id: \"assembly\"", "skill_id: \"Assembly!\"")
            .replace("version: \"1.0.0\"", "version: \"1\""),
        "bad_manifest",
        "manifest.yaml cannot be used: 2 mistakes\n  \
         line 2, column 11: skill_id: expected a lower-case name such as cooperative_assembly (a-z, 0-9, _), found 'Assembly!'\n  \
         line 3, column 10: version: expected a semantic version such as 1.0.0, found '1': unexpected end of input while parsing major \
         version number",
    )?;
    add(
        "manifest_is_not_yaml",
        "schema_version: 1\nskill_id: [\n",
        "bad_manifest",
        "manifest.yaml cannot be used: line 3, column 1: not YAML: while parsing a node, did not find expected node content (in what \
         begins on line 2, column 11)",
    )?;
    add(
        "manifest_without_the_envelope",
        &text.replace("envelope: \"safety_envelope.yaml\"\n", ""),
        "bad_manifest",
        "manifest.yaml cannot be used: line 1, column 1: envelope: missing; expected the path of the safety envelope",
    )?;

    let mut chunks = with_chunks()?;
    chunks.files.pop();
    let text = chunks.manifest()?.to_yaml();
    let line = text.lines().position(|line| line == "files:").map_or(0, |index| index + 2);
    bench.add_refused(
        "statistics_of_a_policy_are_missing",
        &chunks.archive()?,
        "bad_manifest",
        &format!(
            "manifest.yaml cannot be used: line {line}, column 3: files: 'policies/reach.stats.json' is referred to but not listed"
        ),
    )?;

    let mut archive = RawArchive::empty();
    for (path, bytes) in &skill.files {
        archive.file(path, bytes);
    }
    archive.file("manifest.yaml", text.as_bytes());
    let problem =
        format!("the archive begins with '{ENVELOPE}', not with manifest.yaml (make it with `cell package`)");
    bench.add_refused("manifest_not_first", &archive.end().gzip()?, "manifest_not_first", &problem)
}

fn damaged(bench: &mut Bench) -> anyhow::Result<()> {
    let skill = Skill::sound()?;
    let sound = skill.archive()?;

    let cut = &sound[..sound.len() - 100];
    let problem =
        "the archive cannot be decompressed (truncated or damaged gzip data): unexpected end of the file";
    bench.add_refused("cut_off_and_then_signed", cut, "damaged_gzip", problem)?;

    let problem = "the archive cannot be decompressed (truncated or damaged gzip data): invalid gzip header";
    bench.add_refused("not_gzip", b"PK\x03\x04 this is a zip, perhaps", "damaged_gzip", problem)?;

    let mut wrong_sum = sound.clone();
    let crc = wrong_sum.len() - 8;
    wrong_sum[crc] ^= 1;
    let problem = "the archive cannot be decompressed (truncated or damaged gzip data): corrupt gzip stream does not have a \
                   matching checksum";
    bench.add_refused("gzip_checksum_wrong", &wrong_sum, "damaged_gzip", problem)?;

    let mut archive = skill.open_archive()?.end();
    archive.tar[0] = b'n';
    let problem = "the header of entry 0 is damaged: its checksum is ";
    let bytes = archive.gzip()?;
    let (stated, actual) = (header_sum(&bytes, b'm')?, header_sum(&bytes, b'n')?);
    bench.add_refused(
        "header_damaged",
        &bytes,
        "bad_header",
        &format!("{problem}{actual}, it states {stated}"),
    )?;

    let problem = "the archive ends in the middle of the header of entry 3 (or the end mark is missing); it was cut off \
                   before it was signed";
    bench.add_refused("end_mark_missing", &skill.open_archive()?.gzip()?, "truncated", problem)?;

    let mut archive = skill.open_archive()?;
    archive.tar.extend_from_slice(&[0; 512]);
    let problem = "the archive ends in the middle of the end mark; it was cut off before it was signed";
    bench.add_refused("half_an_end_mark", &archive.gzip()?, "truncated", problem)?;

    // A header of the seventh edition of Unix: other readers guess what its fields mean.
    let mut archive = skill.open_archive()?;
    let mut old = header(b"trees/extra.xml", EntryType::Regular, 4);
    old.as_mut_bytes()[257..265].fill(0);
    old.set_cksum();
    archive.entry(&old, b"evil");
    let problem =
        "the header of entry 3 is damaged: it is not a ustar header (make the archive with `cell package`)";
    bench.add_refused("header_of_an_old_format", &archive.end().gzip()?, "bad_header", problem)?;

    let problem = "bytes after the end of the archive; a clean archive ends there";
    bench.add_refused("trailing_bytes", &[sound.as_slice(), b"more"].concat(), "trailing_data", problem)?;
    let second_member = [sound.as_slice(), &sound].concat();
    bench.add_refused("second_gzip_member", &second_member, "trailing_data", problem)?;

    let mut archive = skill.open_archive()?.end();
    archive.file("trees/hidden.xml", b"evil");
    let problem = "tar data after the end of the archive; a clean archive ends there";
    bench.add_refused("entries_after_the_end_mark", &archive.end().gzip()?, "trailing_data", problem)
}

/// Checksum of the first header if its first byte is `first`.
fn header_sum(archive: &[u8], first: u8) -> anyhow::Result<u32> {
    use std::io::Read as _;
    let mut header = [0; 512];
    flate2::read::GzDecoder::new(archive).read_exact(&mut header)?;
    header[0] = first;
    header[148..156].fill(b' ');
    Ok(header.iter().map(|byte| u32::from(*byte)).sum())
}

fn too_much(bench: &mut Bench) -> anyhow::Result<()> {
    // 64 MiB of zeros pack a thousand to one.
    let mut skill = Skill::sound()?;
    skill.files.insert(0, ("policies/zeros.onnx", vec![0; 64 << 20]));
    let archive = skill.archive()?;
    // What is announced up to the bomb: the manifest (one header, its text, filling) and the bomb's own header and bytes.
    let manifest = skill.manifest()?.to_yaml().len().next_multiple_of(512);
    let problem = format!(
        "gzip bomb: {} bytes would come out of {}, more than 200 to 1; nothing real is packed that tightly",
        512 + manifest + 512 + (64 << 20),
        archive.len()
    );
    bench.add_refused("gzip_bomb", &archive, "gzip_bomb", &problem)?;

    let mut skill = Skill::sound()?;
    let names: Vec<String> = (0..1024).map(|index| format!("a/{index:04}")).collect();
    let names: Vec<&'static str> = names.into_iter().map(|name| &*name.leak()).collect();
    skill.files.splice(0..0, names.into_iter().map(|name| (name, Vec::new())));
    let problem = "the archive has more than 1024 files, which is the limit";
    bench.add_refused("too_many_files", &skill.archive()?, "too_many_files", problem)?;

    let mut archive = Skill::sound()?.open_archive()?;
    archive.entry(&header(b"policies/huge.onnx", EntryType::Regular, 3 << 30), b"");
    let problem = "'policies/huge.onnx' is 3221225472 bytes long, the limit is 2147483648";
    bench.add_refused("file_larger_than_the_limit", &archive.end().gzip()?, "too_large", problem)?;

    let mut archive = RawArchive::empty();
    archive.file("manifest.yaml", &vec![b'#'; (1 << 20) + 1]);
    let problem = "'manifest.yaml' is 1048577 bytes long, the limit is 1048576";
    bench.add_refused("manifest_larger_than_the_limit", &archive.end().gzip()?, "too_large", problem)
}
