// The one function that dspy's runner takes from deno.land, for machines that reach package registries alone: a reader's lines.
export async function* readLines(reader) {
  const decoder = new TextDecoder(), buffer = new Uint8Array(1 << 16);
  let rest = "";
  for (let count; (count = await reader.read(buffer)) !== null; ) {
    const lines = (rest + decoder.decode(buffer.subarray(0, count), { stream: true })).split("\n");
    rest = lines.pop();
    yield* lines;
  }
  if (rest) yield rest;
}
