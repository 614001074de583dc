//! The public contract of a carrier stays small.

use syn::{GenericParam, ImplItem, Item, ItemTrait, Signature, TraitItem, Type, Visibility};

use crate::LIBRARIES;
use crate::source::Crate;

fn items(parsed: &Crate) -> impl Iterator<Item = &Item> {
    parsed.modules.values().flat_map(|module| &module.items)
}

fn public_traits(parsed: &Crate) -> impl Iterator<Item = &ItemTrait> {
    items(parsed).filter_map(|item| match item {
        Item::Trait(item) if matches!(item.vis, Visibility::Public(_)) => Some(item),
        _ => None,
    })
}

fn methods(item: &ItemTrait) -> impl Iterator<Item = &Signature> {
    item.items.iter().filter_map(|item| match item {
        TraitItem::Fn(method) => Some(&method.sig),
        _ => None,
    })
}

/// The public functions in the `impl Fields` blocks.
fn functions_of_fields(parsed: &Crate) -> impl Iterator<Item = &Signature> {
    let impls = items(parsed).filter_map(|item| match item {
        Item::Impl(item) if item.trait_.is_none() => match &*item.self_ty {
            Type::Path(path) if path.path.segments.last()?.ident == "Fields" => Some(&item.items),
            _ => None,
        },
        _ => None,
    });
    impls.flatten().filter_map(|item| match item {
        ImplItem::Fn(function) if matches!(function.vis, Visibility::Public(_)) => Some(&function.sig),
        _ => None,
    })
}

fn names<'a>(functions: impl Iterator<Item = &'a Signature>) -> Vec<String> {
    functions.map(|function| function.ident.to_string()).collect()
}

#[test]
fn the_two_carrier_traits_have_at_most_six_methods() {
    let core = Crate::read("carrier-core");
    let of = |name: &str| -> Vec<String> {
        let item = public_traits(&core).find(|item| item.ident == name);
        names(methods(item.unwrap_or_else(|| panic!("carrier-core has no trait {name}"))))
    };
    let methods = [of("TextMapReader"), of("TextMapCarrier")].concat();
    assert!(methods.len() <= 6, "{}: {methods:?}", methods.len());
}

#[test]
fn fields_has_at_most_five_public_methods() {
    let methods = names(functions_of_fields(&Crate::read("carrier-core")));
    assert!((1..=5).contains(&methods.len()), "{}: {methods:?}", methods.len());
}

#[test]
fn no_function_of_the_public_contract_has_a_const_generic_parameter() {
    let libraries = LIBRARIES.map(Crate::read);
    let of_traits = libraries.iter().flat_map(public_traits).flat_map(methods);
    let functions = of_traits.chain(functions_of_fields(&libraries[0]));
    let is_const = |parameter: &GenericParam| matches!(parameter, GenericParam::Const(_));
    let found = names(functions.filter(|function| function.generics.params.iter().any(is_const)));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn no_library_exports_a_macro() {
    let libraries = LIBRARIES.map(Crate::read);
    let macros = libraries.iter().flat_map(items).filter_map(|item| match item {
        Item::Macro(item) if item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export")) => {
            item.ident.as_ref().map(ToString::to_string)
        }
        _ => None,
    });
    crate::assert_none(&macros.collect::<Vec<_>>());
}
