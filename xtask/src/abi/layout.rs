//! The layouts of the structures that cross the FFI boundary.
//!
//! A structure of the module corresponds to one of C if its documentation begins with the C name in
//! back quotes. Its size and offsets are read from the debug information, so the comparison is with
//! what the compiler did, not with the source.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use anyhow::Result;
use gimli::{AttributeValue, DebuggingInformationEntry, Dwarf, EndianSlice, LittleEndian, Unit};
use object::{Object, ObjectSection};

use super::table::Table;
use crate::paths;

/// The namespace of the module's own types in the debug information.
const CRATE: &str = "ngx_http_lua_module";

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// A structure's size and the offsets of its members, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Layout {
    size: u64,
    offsets: Vec<u64>,
}

/// Compares the structures that the module defines with the table. Returns the faults.
pub fn check(object: &object::File) -> Result<Vec<String>> {
    let defined = defined(&paths::root().join("src"))?;
    let compiled = compiled(object)?;
    let mut faults = Vec::new();
    let (mut checked, mut rest) = (0, Vec::new());
    for row in Table::read("ffi_structs.tsv")?.rows() {
        let name = &row["name"];
        let Some(expected) = parse(&row["layout_lp64"]) else { continue };
        let Some(rust) = defined.get(name) else {
            rest.push(name.clone());
            continue;
        };
        match compiled.get(rust) {
            Some(layout) if *layout == expected => checked += 1,
            Some(layout) => {
                faults.push(format!("{name} ({rust}) has {layout:?}, not {expected:?}"));
            }
            None => faults.push(format!("{name} ({rust}) is defined, but nothing uses it")),
        }
    }
    println!("{checked} structures laid out as C expects; not defined here: {}", rest.join(", "));
    Ok(faults)
}

/// Reads `size=16; len@0, data@8`; `None` if the cell is not a layout.
fn parse(cell: &str) -> Option<Layout> {
    let (size, members) = cell.split_once("; ")?;
    let size = size.strip_prefix("size=")?.parse().ok()?;
    let offset = |member: &str| member.split_once('@')?.1.trim().parse().ok();
    Some(Layout { size, offsets: members.split(',').map(offset).collect::<Option<_>>()? })
}

/// The structures below `src` that correspond to one of C: C's name to Rust's path, as
/// `api::ffi::FfiStr`.
fn defined(src: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for path in paths::below(src, "rs")? {
        let mut module = path.strip_prefix(src)?.with_extension("");
        if module.ends_with("mod") {
            module.pop();
        }
        let module = module.to_string_lossy().replace('/', "::");
        let structures = defined_in(&fs::read_to_string(&path)?);
        found.extend(structures.into_iter().map(|(c, rust)| (c, format!("{module}::{rust}"))));
    }
    Ok(found)
}

fn defined_in(source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut c_name = None;
    let mut in_docs = false;
    for line in source.lines().map(str::trim) {
        if let Some(docs) = line.strip_prefix("/// ") {
            if !in_docs {
                let quoted = docs.strip_prefix('`').and_then(|docs| docs.split_once('`'));
                c_name = quoted.map(|(name, _)| name.to_string());
            }
            in_docs = true;
        } else if let Some((_, after)) = line.split_once("struct ") {
            let end = after.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(after.len());
            found.extend(c_name.take().map(|c_name| (c_name, after[..end].to_string())));
            in_docs = false;
        } else if !line.starts_with("#[") && !line.starts_with("///") {
            (c_name, in_docs) = (None, false);
        }
    }
    found
}

/// The module's own structures by their paths, as the compiler laid them out.
fn compiled(object: &object::File) -> Result<HashMap<String, Layout>> {
    let section = |id: gimli::SectionId| -> Result<Cow<[u8]>> {
        let section = object.section_by_name(id.name());
        Ok(section.map(|s| s.uncompressed_data()).transpose()?.unwrap_or_default())
    };
    let sections = gimli::DwarfSections::load(section)?;
    let dwarf = sections.borrow(|section| EndianSlice::new(section, LittleEndian));
    let mut found = HashMap::new();
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        let unit = dwarf.unit(header)?;
        collect(&dwarf, &unit, &mut found)?;
    }
    Ok(found)
}

/// Adds the structures of one unit that lie in the module's namespace.
fn collect(
    dwarf: &Dwarf<Slice>,
    unit: &Unit<Slice>,
    found: &mut HashMap<String, Layout>,
) -> Result<()> {
    let mut tree = unit.entries_tree(None)?;
    let mut roots = tree.root()?.children();
    while let Some(node) = roots.next()? {
        let entry = node.entry();
        if entry.tag() == gimli::DW_TAG_namespace && name(dwarf, unit, entry)? == CRATE {
            visit(dwarf, unit, node, "", found)?;
        }
    }
    Ok(())
}

fn visit(
    dwarf: &Dwarf<Slice>,
    unit: &Unit<Slice>,
    node: gimli::EntriesTreeNode<Slice>,
    module: &str,
    found: &mut HashMap<String, Layout>,
) -> Result<()> {
    let mut children = node.children();
    while let Some(child) = children.next()? {
        let path = format!("{module}{}", name(dwarf, unit, child.entry())?);
        match child.entry().tag() {
            gimli::DW_TAG_namespace => visit(dwarf, unit, child, &format!("{path}::"), found)?,
            gimli::DW_TAG_structure_type => {
                let size = number(child.entry(), gimli::DW_AT_byte_size)?;
                found.insert(path, Layout { size, offsets: offsets(child)? });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The offsets of a structure's members, lowest first.
fn offsets(structure: gimli::EntriesTreeNode<Slice>) -> Result<Vec<u64>> {
    let mut offsets = Vec::new();
    let mut members = structure.children();
    while let Some(member) = members.next()? {
        if member.entry().tag() == gimli::DW_TAG_member {
            offsets.push(number(member.entry(), gimli::DW_AT_data_member_location)?);
        }
    }
    offsets.sort_unstable();
    Ok(offsets)
}

fn number(entry: &DebuggingInformationEntry<Slice>, attribute: gimli::DwAt) -> Result<u64> {
    Ok(entry.attr_value(attribute)?.and_then(|value| value.udata_value()).unwrap_or_default())
}

fn name<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    unit: &Unit<Slice<'a>>,
    entry: &DebuggingInformationEntry<Slice<'a>>,
) -> Result<Cow<'a, str>> {
    let value = entry.attr_value(gimli::DW_AT_name)?;
    let value = value.unwrap_or(AttributeValue::String(Slice::new(b"", LittleEndian)));
    Ok(dwarf.attr_string(unit, value)?.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_layout() {
        let expected = Layout { size: 16, offsets: vec![0, 8] };
        assert_eq!(parse("size=16; len@0, data@8"), Some(expected));
        assert_eq!(parse(""), None);
        assert_eq!(parse("stride=name_entry_size; count=name_count"), None);
    }

    #[test]
    fn finds_structures_by_their_documentation() {
        let source = "/// `ngx_str_t`: bytes.\n///\n/// More `words`.\n#[repr(C)]\npub struct Str {\n\
                      /// A `field`.\n    len: usize,\n}\n/// Another.\nstruct Other(u8);\n";
        assert_eq!(defined_in(source), [("ngx_str_t".to_string(), "Str".to_string())]);
    }
}
