// What a program does with dockerode, whole; every promise that is not kept ends it with an error.
const Docker = require("dockerode");
const assert = require("assert");
const { PassThrough } = require("stream");

const docker = new Docker({ socketPath: process.argv[2] });

const collected = (stream) =>
  new Promise((resolve, reject) => {
    const parts = [];
    stream.on("data", (part) => parts.push(part));
    stream.on("end", () => resolve(Buffer.concat(parts)));
    stream.on("error", reject);
  });

async function demultiplexed(stream) {
  const out = new PassThrough();
  const err = new PassThrough();
  docker.modem.demuxStream(stream, out, err);
  stream.on("end", () => (out.end(), err.end()));
  return (await Promise.all([collected(out), collected(err)])).map(String);
}

const followed = (stream) =>
  new Promise((resolve, reject) =>
    docker.modem.followProgress(stream, (error, messages) => (error ? reject(error) : resolve(messages))));

async function run() {
  const out = new PassThrough();
  const printed = collected(out);
  const [ended, container] = await docker.run("busybox", ["sh", "-c", "echo hello; exit 4"], out);
  out.end();
  assert.strictEqual(ended.StatusCode, 4);
  assert.strictEqual(String(await printed), "hello\r\n");
  await container.remove();
}

async function life() {
  const container = await docker.createContainer({
    Image: "busybox", Cmd: ["cat"], OpenStdin: true, StdinOnce: true, AttachStdin: true, Labels: { suite: "node" },
    HostConfig: { Memory: 64 * 1024 * 1024 },
  });
  const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
  const printed = demultiplexed(stream);
  await container.start();
  const found = await docker.listContainers({ filters: { label: ["suite=node"] } });
  assert.deepStrictEqual(found.map((one) => one.Id), [container.id]);
  assert.strictEqual((await container.inspect()).HostConfig.Memory, 64 * 1024 * 1024);
  const made = await container.exec({ Cmd: ["sh", "-c", "cat; echo no >&2"], AttachStdin: true, AttachStdout: true,
    AttachStderr: true });
  const inside = await made.start({ hijack: true, stdin: true });
  const said = demultiplexed(inside);
  inside.end("through exec");
  assert.deepStrictEqual(await said, ["through exec", "no\n"]);
  assert.strictEqual((await made.inspect()).ExitCode, 0);
  assert.strictEqual((await container.stats({ stream: false })).memory_stats.limit, 64 * 1024 * 1024);
  stream.end("x".repeat(100000));
  assert.deepStrictEqual(await printed, ["x".repeat(100000), ""]);
  assert.strictEqual((await container.wait()).StatusCode, 0);
  assert.strictEqual((await container.logs({ stdout: true })).length > 100000, true);
  await container.remove({ v: true });
  await assert.rejects(container.inspect(), (error) => error.statusCode === 404);
}

async function images() {
  await followed(await docker.buildImage({ context: process.argv[3], src: ["Dockerfile"] }, { t: "node-test:1" }));
  const image = docker.getImage("node-test:1");
  assert.strictEqual((await image.inspect()).Config.Labels.made, "by node");
  const archive = await collected(await image.get());
  await image.remove();
  await followed(await docker.loadImage(PassThrough.from([archive])));
  await docker.getImage("node-test:1").remove();
}

async function rest() {
  const network = await docker.createNetwork({ Name: "node-net", Internal: true });
  assert.strictEqual((await network.inspect()).Internal, true);
  await network.remove();
  await docker.createVolume({ Name: "node-volume" });
  await docker.getVolume("node-volume").remove();
  assert.strictEqual((await docker.version()).ApiVersion, "1.51");
  const events = await docker.getEvents({ filters: { container: ["node-seen"] } });
  const first = new Promise((resolve) => events.once("data", (data) => resolve(JSON.parse(data).Action)));
  const container = await docker.createContainer({ Image: "busybox", name: "node-seen" });
  assert.strictEqual(await first, "create");
  events.destroy();
  await container.remove();
}

run().then(life).then(images).then(rest).then(() => console.log("whole"));
