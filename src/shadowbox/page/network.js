/** Steps of networks by onnxruntime-web, on the processor, in one thread; nothing is fetched. */
import { unpack } from "./unpack.js";

const ARRAYS = {
  float32: Float32Array,
  bool: Uint8Array,
  int64: BigInt64Array,
};

/** Start the runtime. @param {any} ort  the module @param {string} wasm  base64 of gzip */
export async function startRuntime(ort, wasm) {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await unpack(wasm);
  ort.env.logLevel = "error";
}

/**
 * A function of inputs by name, arrays or lists of numbers, that gives results by name.
 * @param {any} ort
 * @param {{model: string, inputs: {name: string, shape: number[], type: string}[]}} step
 * @returns {Promise<(given: Record<string, any>) => Promise<Record<string, any>>>}
 */
export async function network(ort, { model, inputs }) {
  const options = { executionProviders: ["wasm"], graphOptimizationLevel: "all" };
  const session = await ort.InferenceSession.create(await unpack(model), options);
  const wanted = inputs.filter(({ name }) => session.inputNames.includes(name));
  return async (given) => {
    const feeds = {};
    for (const { name, shape, type } of wanted)
      feeds[name] = new ort.Tensor(type, typed(type, given[name]), shape);
    const found = await session.run(feeds);
    return Object.fromEntries(Object.entries(found).map(([name, tensor]) => [name, tensor.data]));
  };
}

function typed(type, values) {
  const Kind = ARRAYS[type];
  if (values instanceof Kind) return values;
  return type === "int64" ? Kind.from(values, BigInt) : Kind.from(values, Number);
}
