// One KafkaSSE consumer for each client. node server.mjs BOOTSTRAP TOPIC; prints its address, as riverhead does.
import { createServer } from "node:http";
import bunyan from "bunyan";
import kafkaSse from "kafka-sse";

const [bootstrap, topic] = process.argv.slice(2);
const options = {
  // Without it, every client gets its own logger, which writes debug lines to stdout.
  logger: bunyan.createLogger({ name: "kafkasse", level: "fatal", stream: process.stderr }),
  kafkaConfig: {
    "metadata.broker.list": bootstrap,
    // No fetch waits for more records.
    "fetch.wait.max.ms": 10,
    "fetch.min.bytes": 1,
  },
};

const server = createServer((request, response) => {
  kafkaSse(request, response, [topic], options).catch((error) => {
    process.stderr.write(`${error}\n`);
    response.destroy();
  });
});
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`listening on http://127.0.0.1:${server.address().port}\n`);
});
