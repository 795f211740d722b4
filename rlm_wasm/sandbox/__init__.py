"""The only code that enters WebAssembly: engine, instances, memory pages, messages, snapshots."""
