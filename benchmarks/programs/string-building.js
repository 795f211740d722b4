function build(n) {
  const parts = [];
  for (let i = 0; i < n; i++) parts.push("item-" + i + ":" + "abc".toUpperCase());
  return parts.join(",").length;
}
build(60000);
