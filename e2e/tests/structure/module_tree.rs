//! Reads the modules of a crate: their paths, and what each module refers to.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Attribute, ImplItem, ImplItemConst, ImplItemFn, ImplItemMacro, ImplItemType, Item, ItemConst, ItemEnum,
    ItemExternCrate, ItemFn, ItemForeignMod, ItemImpl, ItemMacro, ItemMod, ItemStatic, ItemStruct, ItemTrait,
    ItemTraitAlias, ItemType, ItemUnion, ItemUse, LitStr, Meta, UseTree,
    visit::{self, Visit},
};

/// The modules of one crate. The first is the root.
#[derive(Default)]
pub struct ModuleTree {
    modules: Vec<Module>,
}

#[derive(Default)]
struct Module {
    name: String,
    parent: Option<usize>,
    /// It has modules in files of their own.
    is_folder: bool,
    children: BTreeMap<String, usize>,
    /// Names that `use` makes available, each with the path that the statement gives.
    imports: HashMap<String, Vec<String>>,
    references: Vec<PathReference>,
}

/// A path in the source.
struct PathReference {
    segments: Vec<String>,
    file: PathBuf,
    line: usize,
}

/// One sibling refers to another.
pub struct ModuleDependency {
    /// The module that contains both.
    pub parent: usize,
    pub from: usize,
    pub to: usize,
    /// `path/file.rs:12: crate::upload::Budget`
    pub evidence: String,
}

impl ModuleTree {
    /// Parses a crate from its root file. Tests are left out.
    pub fn parse(root: &Path) -> Self {
        let mut tree = Self::default();
        tree.modules.push(Module::default());
        tree.parse_file(0, root, root.parent().unwrap());
        tree
    }

    fn parse_file(&mut self, module: usize, file: &Path, folder: &Path) {
        let source = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed = syn::parse_file(&source).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.parse_items(module, &parsed.items, file, folder);
    }

    fn parse_items(&mut self, module: usize, items: &[Item], file: &Path, folder: &Path) {
        let mut paths = PathCollector::default();
        for item in items {
            paths.visit_item(item);
            match item {
                Item::Mod(item) if !is_test(&item.attrs) => self.parse_module(module, item, file, folder),
                Item::Use(item) if !is_test(&item.attrs) => {
                    for (segments, name) in leaves(&item.tree) {
                        self.modules[module]
                            .imports
                            .extend(name.map(|name| (name, segments)));
                    }
                }
                _ => {}
            }
        }
        let references = paths.found.into_iter().map(|(segments, span)| PathReference {
            segments,
            file: file.to_owned(),
            line: span.start().line,
        });
        self.modules[module].references.extend(references);
    }

    fn parse_module(&mut self, parent: usize, item: &ItemMod, file: &Path, folder: &Path) {
        let name = item.ident.to_string();
        if name == "tests" {
            return;
        }
        let module = self.modules.len();
        self.modules.push(Module {
            name: name.clone(),
            parent: Some(parent),
            ..Module::default()
        });
        let nested = folder.join(&name);
        if let Some((_, items)) = &item.content {
            self.parse_items(module, items, file, &nested);
        } else {
            self.modules[parent].is_folder = true;
            let flat = folder.join(format!("{name}.rs"));
            let file = if flat.exists() {
                flat
            } else {
                nested.join("mod.rs")
            };
            self.parse_file(module, &file, &nested);
        }
        self.modules[parent].children.insert(name, module);
    }

    /// All dependencies between modules with the same parent.
    pub fn dependencies(&self) -> Vec<ModuleDependency> {
        let mut found = Vec::new();
        for (module, Module { references, .. }) in self.modules.iter().enumerate() {
            for reference in references {
                let siblings = self
                    .resolve(module, &reference.segments, 0)
                    .and_then(|target| self.siblings(module, target));
                if let Some((parent, from, to)) = siblings {
                    let PathReference { segments, file, line } = reference;
                    let evidence = format!("{}:{line}: {}", file.display(), segments.join("::"));
                    found.push(ModuleDependency {
                        parent,
                        from,
                        to,
                        evidence,
                    });
                }
            }
        }
        found
    }

    /// The module that a path leads to, through the names that modules import. None: another crate's.
    fn resolve(&self, from: usize, path: &[String], depth: usize) -> Option<usize> {
        // `use a::b` and `use b::a` in one module would lead here.
        if depth > 20 {
            return None;
        }
        let (first, mut rest) = path.split_first()?;
        let mut module = match first.as_str() {
            "crate" => 0,
            "self" => from,
            "super" => self.modules[from].parent?,
            name => {
                rest = path;
                let scope = &self.modules[from];
                if !scope.children.contains_key(name) && !scope.imports.contains_key(name) {
                    return None;
                }
                from
            }
        };
        while let Some((name, after)) = rest.split_first() {
            let scope = &self.modules[module];
            if name == "super" {
                module = scope.parent?;
            } else if let Some(child) = scope.children.get(name) {
                module = *child;
            } else if let Some(import) = scope.imports.get(name).filter(|import| import != &path) {
                let path: Vec<String> = import.iter().chain(after).cloned().collect();
                // A name that comes from another crate belongs to the module that imports it.
                return self.resolve(module, &path, depth + 1).or(Some(module));
            } else {
                break;
            }
            rest = after;
        }
        Some(module)
    }

    /// The two ancestors that have the same parent, and that parent. None: one module contains the other.
    fn siblings(&self, from: usize, to: usize) -> Option<(usize, usize, usize)> {
        let (from, to) = (self.lineage(from), self.lineage(to));
        let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        Some((*from.get(common - 1)?, *from.get(common)?, *to.get(common)?))
    }

    /// From the root to the module.
    fn lineage(&self, module: usize) -> Vec<usize> {
        let mut lineage = vec![module];
        while let Some(parent) = self.modules[lineage[lineage.len() - 1]].parent {
            lineage.push(parent);
        }
        lineage.reverse();
        lineage
    }

    pub fn is_root(&self, module: usize) -> bool {
        self.modules[module].parent.is_none()
    }

    pub fn is_folder(&self, module: usize) -> bool {
        self.modules[module].is_folder
    }

    /// `source::files`; of the root, nothing.
    pub fn path(&self, module: usize) -> String {
        let names: Vec<&str> = self.lineage(module)[1..]
            .iter()
            .map(|module| self.modules[*module].name.as_str())
            .collect();
        names.join("::")
    }
}

/// The paths of a `use` tree, each with the name that it introduces. A glob introduces none.
fn leaves(tree: &UseTree) -> Vec<(Vec<String>, Option<String>)> {
    match tree {
        UseTree::Path(path) => {
            let first = path.ident.to_string();
            leaves(&path.tree)
                .into_iter()
                .map(|(segments, name)| {
                    let is_self = segments == ["self"];
                    let name = if is_self && name.as_deref() == Some("self") {
                        Some(first.clone())
                    } else {
                        name
                    };
                    let rest = if is_self { Vec::new() } else { segments };
                    (std::iter::once(first.clone()).chain(rest).collect(), name)
                })
                .collect()
        }
        UseTree::Name(name) => vec![(vec![name.ident.to_string()], Some(name.ident.to_string()))],
        UseTree::Rename(rename) => vec![(vec![rename.ident.to_string()], Some(rename.rename.to_string()))],
        UseTree::Glob(_) => vec![(Vec::new(), None)],
        UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
    }
}

/// Collects paths of two or more segments. A shorter one needs a `use`, which is collected.
#[derive(Default)]
struct PathCollector {
    found: Vec<(Vec<String>, Span)>,
}

impl PathCollector {
    fn insert(&mut self, segments: Vec<String>, span: Span) {
        if segments.len() > 1 {
            self.found.push((segments, span));
        }
    }

    /// The paths in a macro's arguments or body.
    fn visit_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut start = Span::call_site();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.insert(std::mem::take(&mut path), start);
                        start = ident.span();
                    }
                    path.push(ident.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Group(group) => self.visit_tokens(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            self.insert(std::mem::take(&mut path), start);
            colons = 0;
        }
        self.insert(path, start);
    }

    /// The paths in an attribute's strings: `#[serde(with = "crate::time")]`.
    fn visit_strings(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.visit_strings(group.stream()),
                TokenTree::Literal(literal) => {
                    let path = syn::parse2::<LitStr>(literal.to_token_stream())
                        .and_then(|string| string.parse_with(syn::Path::parse_mod_style));
                    if let Ok(path) = path {
                        let segments = path.segments.iter().map(|segment| segment.ident.to_string());
                        self.insert(segments.collect(), literal.span());
                    }
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for PathCollector {
    fn visit_item(&mut self, item: &'ast Item) {
        // Modules are parsed by themselves.
        if !matches!(item, Item::Mod(_)) && !is_test(item_attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !is_test(impl_item_attributes(item)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for (segments, _) in leaves(&item.tree) {
            self.insert(segments, item.use_token.span);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let Some(first) = path.segments.first() {
            let segments = path.segments.iter().map(|segment| segment.ident.to_string());
            self.insert(segments.collect(), first.ident.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        self.visit_path(&invocation.path);
        self.visit_tokens(invocation.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.visit_tokens(list.tokens.clone());
            self.visit_strings(list.tokens.clone());
        }
    }
}

/// `#[cfg(test)]`, or `#[cfg(all(test, …))]`.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let tokens = attribute.meta.to_token_stream().to_string().replace(' ', "");
        tokens == "cfg(test)" || tokens.starts_with("cfg(all(test,")
    })
}

fn item_attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(ItemConst { attrs, .. })
        | Item::Enum(ItemEnum { attrs, .. })
        | Item::ExternCrate(ItemExternCrate { attrs, .. })
        | Item::Fn(ItemFn { attrs, .. })
        | Item::ForeignMod(ItemForeignMod { attrs, .. })
        | Item::Impl(ItemImpl { attrs, .. })
        | Item::Macro(ItemMacro { attrs, .. })
        | Item::Mod(ItemMod { attrs, .. })
        | Item::Static(ItemStatic { attrs, .. })
        | Item::Struct(ItemStruct { attrs, .. })
        | Item::Trait(ItemTrait { attrs, .. })
        | Item::TraitAlias(ItemTraitAlias { attrs, .. })
        | Item::Type(ItemType { attrs, .. })
        | Item::Union(ItemUnion { attrs, .. })
        | Item::Use(ItemUse { attrs, .. }) => attrs,
        _ => &[],
    }
}

fn impl_item_attributes(item: &ImplItem) -> &[Attribute] {
    match item {
        ImplItem::Const(ImplItemConst { attrs, .. })
        | ImplItem::Fn(ImplItemFn { attrs, .. })
        | ImplItem::Macro(ImplItemMacro { attrs, .. })
        | ImplItem::Type(ImplItemType { attrs, .. }) => attrs,
        _ => &[],
    }
}
