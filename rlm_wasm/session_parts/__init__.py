"""What a session consists of, a part a file; ``rlm_wasm.session`` puts them together."""
