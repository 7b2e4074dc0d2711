// Sends one event and waits for the recommendation that it brings about, or a question and waits for its answer.
//
//   npm ci
//   node send-and-wait.mjs anna view hammer-16oz
//   node send-and-wait.mjs anna ask 'how much is the claw hammer?'
//
// KAFKA_BOOTSTRAP_SERVERS (default 127.0.0.1:9092) and UPWELL_SHOP (default shop) say where.

import { randomUUID } from "node:crypto";
import { Kafka, Partitioners, logLevel } from "kafkajs";

const BROKERS = (process.env.KAFKA_BOOTSTRAP_SERVERS ?? "127.0.0.1:9092").split(",");
const SHOP = process.env.UPWELL_SHOP ?? "shop";
const PATIENCE_MS = 60_000;

const kafka = new Kafka({ clientId: "upwell-example", brokers: BROKERS, logLevel: logLevel.ERROR });

/** Resolves with the first record after `offsets` that fits; `send` is called once nothing can be missed any more. */
async function answer(topic, send, fits) {
  const admin = kafka.admin();
  await admin.connect();
  const ends = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();

  const consumer = kafka.consumer({ groupId: `upwell-example-${randomUUID()}` });
  await consumer.connect();
  await consumer.subscribe({ topic });
  try {
    return await new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error(`nothing after ${PATIENCE_MS / 1000} s: does a worker run?`)), PATIENCE_MS).unref();
      consumer
        .run({
          autoCommit: false, // a group of this run's own: there is nothing to go on from
          eachMessage: async ({ message }) => {
            const record = message.value && JSON.parse(message.value.toString());
            if (record && fits(record)) resolve(record);
          },
        })
        .then(() => {
          // From where the topic ended before anything was sent, so that the answer cannot be missed.
          for (const { partition, offset } of ends) consumer.seek({ topic, partition, offset });
          return send();
        })
        .catch(reject);
    });
  } finally {
    await consumer.disconnect();
  }
}

/** The key is the shopper: all of a shopper's records stay on one partition, in order. */
async function send(topic, key, record) {
  // murmur2, as Java and aiokafka: whoever writes for a shopper has to agree on the partition.
  const producer = kafka.producer({ idempotent: true, createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  await producer.send({ topic, acks: -1, messages: [{ key, value: JSON.stringify(record) }] });
  await producer.disconnect();
}

const [user, type, what] = process.argv.slice(2);
if (!user || !type || !what) {
  console.error("usage: node send-and-wait.mjs USER EVENT-TYPE ITEM | USER ask QUESTION");
  process.exit(2);
}
const id = randomUUID();
const time = Date.now();
if (type === "ask") {
  const question = { id, text: what, time, user };
  const found = await answer(
    `${SHOP}.answers.v1`,
    () => send(`${SHOP}.questions.v1`, user, question),
    (record) => record.question === id,
  );
  console.log(found.text);
} else {
  const event = { id, type, time, user, item: what };
  const found = await answer(
    `${SHOP}.recommendations.v1`,
    () => send(`${SHOP}.events.v1`, user, event),
    (record) => record.trigger.event === id,
  );
  console.log(`for ${found.user}`);
  for (const { rank, item, reasons } of found.items) {
    console.log(`${String(rank).padStart(3)} ${item.padEnd(24)} ${reasons[0].text}`);
  }
}
