//! Flynn core.
