import { parentPort } from "node:worker_threads";
import { rank, type RankJob } from "../../compression/rank-job.ts";

/** A thread that ranks layer after layer, so that the event loop goes on meanwhile. */
parentPort?.on("message", (job: RankJob) => {
  parentPort?.postMessage(rank(job));
});
