//! The public interface according to the source, compared with a snapshot, so that the interface that connectors are compiled against does
//! not change unnoticed.
//!
//! `rustdoc` can describe the interface as JSON only with a nightly compiler, so this test reads the source. `unreachable_pub` ensures that
//! everything `pub` can be reached. Private modules are merged into the public module around them: where an item is defined is not part of
//! the interface. `INSTA_UPDATE=always` writes the snapshot again; a line that was removed or changed breaks connectors.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{
    Attribute, Expr, Fields, FieldsNamed, FieldsUnnamed, File, GenericArgument, ImplItem, Item, ItemImpl,
    ItemUse, Path as Name, PathArguments, TraitItem, Type, UseTree, Visibility, parse_quote,
};

/// The items of each public module.
#[derive(Default)]
struct Interface {
    /// Each item with a name and a rank for sorting: the definition first, then its implementations.
    modules: BTreeMap<String, Vec<(String, u8, Item)>>,
    /// Types that can be named from outside the crate, and those that cannot.
    public: BTreeSet<String>,
    private: BTreeSet<String>,
}

#[test]
fn public_api_matches_the_snapshot() {
    // If the reader found nothing, it would match an empty snapshot.
    let text = public_interface(
        ".",
        "bridgehead_sdk",
        &[
            "pub trait Connector",
            "pub struct Account",
            "pub fn with_effect(",
            "bridgehead_sdk::http",
            "impl From<std::io::Error> for Error",
        ],
    );
    insta::assert_snapshot!("public", text);
}

/// Authors test their connectors with the kit, so its interface must stay stable as well.
#[test]
fn the_public_interface_of_the_kit_is_that_of_the_snapshot() {
    let text = public_interface(
        "../conformance",
        "bridgehead_conformance",
        &["pub trait TestTarget", "pub async fn run("],
    );
    insta::assert_snapshot!("kit", text);
}

/// The public interface of the crate in `folder`, which must contain `parts`.
fn public_interface(folder: &str, name: &str, parts: &[&str]) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("src");
    let mut interface = Interface::default();
    interface.read(&source.join("lib.rs"), &source, name, None);
    let text = interface.text();
    for part in parts {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    text
}

/// Leaves out what users of the crate cannot compile against, or need not know.
#[test]
fn private_items_and_bodies_are_not_in_the_public_api() {
    let mut interface = Interface::default();
    let file: File = parse_quote! {
        /// Words.
        #[derive(Clone)]
        #[serde(transparent)]
        pub struct Open { #[serde(default)] pub seen: u8, hidden: u8 }
        pub struct Closed(u8);
        struct Inner;
        pub(crate) fn near() {}
        impl Open { pub fn new() -> Self { Self::default() } fn own(&self) {} }
        impl Closed { pub(crate) fn own(&self) {} }
        impl From<Inner> for Open { fn from(_: Inner) -> Self { Self::new() } }
        impl From<u8> for Open { fn from(_: u8) -> Self { Self::new() } }
        impl Inner { pub fn nobody(&self) {} }
        #[cfg(test)] mod tests { pub fn test() {} }
    };
    interface.take(file, Path::new("."), "x", None);
    insta::assert_snapshot!(interface.text(), @r"
    // ===== x

    pub struct Closed(_);

    #[derive(Clone)]
    pub struct Open {
        pub seen: u8,
        private: _,
    }

    impl Open {
        pub fn new() -> Self {}
    }

    impl From<u8> for Open {}
    ");
}

impl Interface {
    fn read(&mut self, file: &Path, folder: &Path, module: &str, private: Option<&[Attribute]>) {
        let source =
            std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed = syn::parse_file(&source).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.take(parsed, folder, module, private);
    }

    /// Collects the items of a file; its modules are in `folder`. If it is a private module, its items need the features that the module
    /// needs, and what it re-exports is named by the surrounding module.
    fn take(&mut self, file: File, folder: &Path, module: &str, private: Option<&[Attribute]>) {
        self.modules.entry(module.to_owned()).or_default();
        let own: BTreeSet<String> = file
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Mod(inner) => Some(inner.ident.to_string()),
                _ => None,
            })
            .collect();
        for mut item in file.items {
            if is_test(attributes(&mut item)) {
                continue;
            }
            match item {
                Item::Mod(inner) if inner.content.is_none() => {
                    let name = inner.ident.to_string();
                    let path = place(folder, &name);
                    let folder = folder.join(&name);
                    if matches!(inner.vis, Visibility::Public(_)) {
                        let module = format!("{module}::{name}");
                        self.read(&path, &folder, &module, None);
                    } else {
                        let features: Vec<Attribute> =
                            inner.attrs.into_iter().filter(|one| one.path().is_ident("cfg")).collect();
                        self.read(&path, &folder, module, Some(&features));
                    }
                }
                Item::Use(_) if private.is_some() => {}
                Item::Use(ItemUse { vis: Visibility::Public(_), tree: UseTree::Path(path), .. })
                    if own.contains(&path.ident.to_string()) =>
                {
                    for name in leaves(*path.tree) {
                        self.add(parse_quote!(pub use #name;), module);
                    }
                }
                mut item => {
                    attributes(&mut item).splice(0..0, private.into_iter().flatten().cloned());
                    self.add(item, module);
                }
            }
        }
    }

    fn add(&mut self, mut item: Item, module: &str) {
        attributes(&mut item).retain(tells);
        let is_public = |vis: &Visibility| matches!(vis, Visibility::Public(_));
        let (visibility, name) = match &mut item {
            Item::Struct(one) => {
                self.name(&one.ident.to_string(), is_public(&one.vis));
                strip(&mut one.fields);
                (one.vis.clone(), one.ident.to_string())
            }
            Item::Enum(one) => {
                self.name(&one.ident.to_string(), is_public(&one.vis));
                for variant in &mut one.variants {
                    variant.attrs.retain(tells);
                    variant.fields.iter_mut().for_each(|field| field.attrs.retain(tells));
                }
                (one.vis.clone(), one.ident.to_string())
            }
            Item::Trait(one) => {
                self.name(&one.ident.to_string(), is_public(&one.vis));
                one.items.iter_mut().for_each(strip_trait_item);
                (one.vis.clone(), one.ident.to_string())
            }
            Item::Fn(one) => {
                *one.block = parse_quote!({});
                (one.vis.clone(), one.sig.ident.to_string())
            }
            Item::Const(one) => {
                *one.expr = Expr::Infer(parse_quote!(_));
                (one.vis.clone(), one.ident.to_string())
            }
            Item::Static(one) => {
                *one.expr = Expr::Infer(parse_quote!(_));
                (one.vis.clone(), one.ident.to_string())
            }
            Item::Type(one) => {
                self.name(&one.ident.to_string(), is_public(&one.vis));
                (one.vis.clone(), one.ident.to_string())
            }
            Item::Use(one) => (one.vis.clone(), String::new()),
            // The only macros are those that define types.
            Item::Macro(one) => {
                one.mac.tokens = without_docs(one.mac.tokens.clone());
                (parse_quote!(pub), "~macros".to_owned())
            }
            Item::Impl(one) => {
                strip_impl(one);
                (parse_quote!(pub), type_name(&one.self_ty))
            }
            _ => panic!("{module} has an item that this test does not know"),
        };
        if is_public(&visibility) {
            let rank = match &item {
                Item::Impl(one) => 1 + u8::from(one.trait_.is_some()),
                _ => 0,
            };
            self.modules.entry(module.to_owned()).or_default().push((name, rank, item));
        }
    }

    fn name(&mut self, name: &str, is_public: bool) {
        if is_public { &mut self.public } else { &mut self.private }.insert(name.to_owned());
    }

    fn text(mut self) -> String {
        let mut text = String::new();
        for (module, mut items) in std::mem::take(&mut self.modules) {
            items.retain(|(_, _, item)| self.is_reachable(item));
            let mut printed: Vec<(String, u8, String)> = items
                .into_iter()
                .map(|(name, rank, item)| {
                    let file = File { shebang: None, attrs: Vec::new(), items: vec![item] };
                    (name, rank, prettyplease::unparse(&file))
                })
                .collect();
            printed.sort();
            let printed: Vec<String> = printed.into_iter().map(|(_, _, text)| text).collect();
            text.extend(["// ===== ", &module, "\n\n", &printed.join("\n"), "\n"]);
        }
        text
    }

    fn is_reachable(&self, item: &Item) -> bool {
        let Item::Impl(one) = item else { return true };
        let is_hidden = |name: &String| self.private.contains(name) && !self.public.contains(name);
        let trait_names = one.trait_.as_ref().map(|(_, path, _)| names(path)).unwrap_or_default();
        let holds_anything = one.trait_.is_some() || !one.items.is_empty();
        holds_anything && !is_hidden(&type_name(&one.self_ty)) && !trait_names.iter().any(is_hidden)
    }
}

fn place(folder: &Path, name: &str) -> PathBuf {
    let file = folder.join(format!("{name}.rs"));
    if file.exists() { file } else { folder.join(name).join("mod.rs") }
}

fn attributes(item: &mut Item) -> &mut Vec<Attribute> {
    match item {
        Item::Const(one) => &mut one.attrs,
        Item::Enum(one) => &mut one.attrs,
        Item::Fn(one) => &mut one.attrs,
        Item::Impl(one) => &mut one.attrs,
        Item::Macro(one) => &mut one.attrs,
        Item::Static(one) => &mut one.attrs,
        Item::Mod(one) => &mut one.attrs,
        Item::Struct(one) => &mut one.attrs,
        Item::Trait(one) => &mut one.attrs,
        Item::Type(one) => &mut one.attrs,
        Item::Use(one) => &mut one.attrs,
        _ => panic!("there is an item that this test does not know"),
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .any(|one| one.path().is_ident("cfg") && one.parse_args::<syn::Ident>().is_ok_and(|is| is == "test"))
}

/// Whether an attribute matters to code that is compiled against an item.
fn tells(attribute: &Attribute) -> bool {
    ["cfg", "derive", "non_exhaustive", "must_use", "default", "deprecated", "async_trait", "macro_export"]
        .iter()
        .any(|name| attribute.path().is_ident(name))
}

/// Of private fields, only their existence is visible.
fn strip(fields: &mut Fields) {
    match fields {
        Fields::Named(FieldsNamed { named, .. }) => {
            let all = named.len();
            let mut seen: syn::punctuated::Punctuated<syn::Field, syn::Token![,]> =
                named.iter().filter(|field| matches!(field.vis, Visibility::Public(_))).cloned().collect();
            seen.iter_mut().for_each(|field| field.attrs.retain(tells));
            if seen.len() < all {
                let more: FieldsNamed = parse_quote!({ private: _ });
                seen.extend(more.named);
            }
            *named = seen;
        }
        Fields::Unnamed(FieldsUnnamed { unnamed, .. }) => {
            for field in unnamed {
                field.attrs.retain(tells);
                if !matches!(field.vis, Visibility::Public(_)) {
                    field.ty = Type::Infer(parse_quote!(_));
                    field.vis = Visibility::Inherited;
                }
            }
        }
        Fields::Unit => {}
    }
}

fn strip_trait_item(item: &mut TraitItem) {
    if let TraitItem::Fn(one) = item {
        one.attrs.retain(tells);
        one.default = one.default.is_some().then(|| parse_quote!({}));
    }
}

/// Keeps only the types of a trait implementation, and only the public items of other implementations.
fn strip_impl(one: &mut ItemImpl) {
    let is_trait = one.trait_.is_some();
    one.items.retain(|item| match item {
        ImplItem::Type(_) => is_trait,
        ImplItem::Fn(one) => matches!(one.vis, Visibility::Public(_)),
        ImplItem::Const(one) => matches!(one.vis, Visibility::Public(_)),
        _ => false,
    });
    for item in &mut one.items {
        match item {
            ImplItem::Fn(one) => {
                one.attrs.retain(tells);
                one.block = parse_quote!({});
            }
            ImplItem::Const(one) => {
                one.attrs.retain(tells);
                one.expr = Expr::Infer(parse_quote!(_));
            }
            ImplItem::Type(one) => one.attrs.retain(tells),
            _ => {}
        }
    }
}

/// Each name of a use declaration, without its module.
fn leaves(tree: UseTree) -> Vec<UseTree> {
    match tree {
        UseTree::Path(path) => leaves(*path.tree),
        UseTree::Group(group) => group.items.into_iter().flat_map(leaves).collect(),
        name => vec![name],
    }
}

fn type_name(of: &Type) -> String {
    match of {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default(),
        _ => String::new(),
    }
}

/// Every name in a path and in its arguments.
fn names(path: &Name) -> Vec<String> {
    let mut found = Vec::new();
    for segment in &path.segments {
        found.push(segment.ident.to_string());
        if let PathArguments::AngleBracketed(arguments) = &segment.arguments {
            for argument in &arguments.args {
                if let GenericArgument::Type(Type::Path(inner)) = argument {
                    found.extend(names(&inner.path));
                }
            }
        }
    }
    found
}

/// The tokens of a macro without doc comments, which are attributes there.
fn without_docs(tokens: TokenStream) -> TokenStream {
    let mut kept: Vec<TokenTree> = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let is_doc = group.delimiter() == Delimiter::Bracket
                    && matches!(group.stream().into_iter().next(), Some(TokenTree::Ident(first)) if first == "doc");
                if is_doc && matches!(kept.last(), Some(TokenTree::Punct(sign)) if sign.as_char() == '#') {
                    kept.pop();
                    continue;
                }
                let inner = without_docs(group.stream());
                kept.push(TokenTree::Group(proc_macro2::Group::new(group.delimiter(), inner)));
            }
            other => kept.push(other),
        }
    }
    kept.into_iter().collect()
}
