//! Encoders, decoders and lexers that need neither nginx nor Lua.
#![forbid(unsafe_code)]
