// AsyncAPI documents (a JSON array on standard input), read by AsyncAPI's own parser. For each, as JSON on standard
// output: the ids of the operations that it understood, and what it found wrong.
import { Parser } from "@asyncapi/parser";
import { json } from "node:stream/consumers";

const results = [];
for (const text of await json(process.stdin)) {
  const { document, diagnostics } = await new Parser().parse(text);
  results.push({
    operations: document?.operations().all().map((each) => each.id()) ?? [],
    wrong: diagnostics.map(({ code, message, path }) => ({ code, message, path: path.join(".") })),
  });
}
process.stdout.write(JSON.stringify(results));
