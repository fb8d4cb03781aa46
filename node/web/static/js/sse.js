// Server-sent events out of a byte stream. Not EventSource: that can send no token and hides why it failed.

const BUFFER_MAX = 1 << 20;

/** Yields {id, kind, data} of a response's body until it ends. Raises when one event exceeds 1 MiB. */
export async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    const blocks = buffer.split(/\r\n\r\n|\n\n|\r\r/);
    buffer = blocks.pop();
    if (buffer.length > BUFFER_MAX) throw new Error("an event is larger than 1 MiB");
    for (const block of blocks) {
      const event = parsed(block);
      if (event) yield event;
    }
  }
}

function parsed(block) {
  const event = { id: null, kind: "message", data: null };
  const data = [];
  for (const line of block.split(/\r\n|\n|\r/)) {
    const at = line.indexOf(":");
    const name = at < 0 ? line : line.slice(0, at);
    const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
    if (name === "data") data.push(value);
    else if (name === "event") event.kind = value;
    else if (name === "id") event.id = value;
  }
  if (!data.length) return null;
  try {
    event.data = JSON.parse(data.join("\n"));
  } catch {
    return null; // not ours
  }
  return event;
}
