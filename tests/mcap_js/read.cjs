// What @mcap/core finds in each BAG, a file or rosbag2's directory of files, as one line of JSON:
//   {"indexed": true, "topics": {name: type}, "messages": [[topic, nanoseconds, digest]]}
// in the order of their times; a digest is the first eight bytes of SHA-256.
//
//   NODE_PATH=.../node_modules node read.cjs BAG...
//
// Each file is read twice, by its index and from its beginning to its end, and both have to find the same messages. A file that was
// cut off has no index; then `indexed` is false.

"use strict";
const { createHash } = require("node:crypto");
const { open, readFile, readdir, stat } = require("node:fs/promises");
const path = require("node:path");
const { McapIndexedReader, McapStreamReader } = require("@mcap/core");
const zstd = require("@foxglove/wasm-zstd");

const decompressHandlers = { zstd: (data, size) => zstd.decompress(data, Number(size)) };

/** Names, of any encoding, become text once; times and digests have more bits than a number of JavaScript. */
function found(channel, message) {
  const digest = createHash("sha256").update(message.data).digest().readBigUInt64BE(0);
  return `[${JSON.stringify(channel.topic)},${message.logTime},${digest}]`;
}

/** None where the file has no index. */
async function byIndex(file) {
  const handle = await open(file);
  const readable = {
    size: async () => BigInt((await handle.stat()).size),
    read: async (offset, length) => {
      const buffer = new Uint8Array(Number(length));
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, Number(offset));
      if (bytesRead !== buffer.length) throw new Error(`${file} ends ${buffer.length - bytesRead} bytes early`);
      return buffer;
    },
  };
  try {
    const reader = await McapIndexedReader.Initialize({ readable, decompressHandlers });
    const messages = [];
    for await (const message of reader.readMessages()) {
      messages.push(found(reader.channelsById.get(message.channelId), message));
    }
    return messages;
  } catch (error) {
    if (String(error.message).startsWith("File is not indexed")) return undefined;
    throw error;
  } finally {
    await handle.close();
  }
}

async function fromTheBeginning(file, topics) {
  const reader = new McapStreamReader({ decompressHandlers, validateCrcs: true });
  reader.append(await readFile(file));
  const schemas = new Map();
  const channels = new Map();
  const timed = [];
  for (let record; (record = reader.nextRecord()); ) {
    if (record.type === "Schema") schemas.set(record.id, record.name);
    if (record.type === "Channel") channels.set(record.id, record);
    if (record.type === "Message") {
      const channel = channels.get(record.channelId);
      topics[channel.topic] = schemas.get(channel.schemaId);
      timed.push([record.logTime, found(channel, record)]);
    }
  }
  if (!reader.done()) throw new Error(`${file} has no end`);
  // Sorting is stable: equal times stay in the order of the file.
  timed.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
  return timed.map(([, message]) => message);
}

async function filesOf(bag) {
  if (!(await stat(bag)).isDirectory()) return [bag];
  const names = (await readdir(bag)).filter((name) => name.endsWith(".mcap")).sort();
  if (names.length === 0) throw new Error(`${bag} holds no .mcap file`);
  return names.map((name) => path.join(bag, name));
}

async function main(bags) {
  await zstd.isLoaded;
  for (const bag of bags) {
    const topics = {};
    const messages = [];
    let indexed = true;
    for (const file of await filesOf(bag)) {
      const streamed = await fromTheBeginning(file, topics);
      const found = await byIndex(file);
      const same = found === undefined || JSON.stringify([...found].sort()) === JSON.stringify([...streamed].sort());
      if (!same) throw new Error(`${file}: ${found.length} messages by its index, ${streamed.length} from its beginning`);
      indexed &&= found !== undefined;
      messages.push(...streamed);
    }
    console.log(`{"indexed":${indexed},"topics":${JSON.stringify(topics)},"messages":[${messages.join(",")}]}`);
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
