/**
 * What the page of a recording asks for.
 *
 * | path | what |
 * |---|---|
 * | /api/recording | what it is of, names of its users, and the decisions as they were |
 * | /api/what-if?percent=&uid=&victim= | Server-Sent Events: `progress` (0 to 1), then `answer` or `problem` |
 *
 * @module
 */
import { VICTIM_POLICIES } from "../../pipeline/memory/victim_policy.ts";
import type { RecordingHead } from "../../pipeline/recording/format.ts";
import { KILL_FIELDS } from "../../service/fields/kill_fields.ts";
import { USER_FIELDS } from "../../service/fields/user_fields.ts";
import { answerRequest, Refusal, unknownPath } from "./answer.ts";
import type { Assets } from "./assets.ts";
import { message } from "./feed.ts";
import type { AnswersQuestions } from "./recording_answer.ts";
import { NO_QUESTION, type Question, readQuestion } from "./what_if.ts";

/** Questions that wait for their answers, of all pages together. */
const QUESTIONS_MAX = 16;

export interface RecordingServerOptions {
  readonly assets: Assets;
  readonly answers: AnswersQuestions;
  /** The file's name, without its folder. */
  readonly name: string;
  readonly head: RecordingHead;
  /** Names of users on this machine, by uid. */
  readonly names: ReadonlyMap<number, string>;
  /** undefined: whoever can open the socket may see it all. */
  readonly token: string | undefined;
}

export class RecordingServer {
  private readonly options: RecordingServerOptions;
  private waiting = 0;

  constructor(options: RecordingServerOptions) {
    this.options = options;
  }

  /** Answers a request. Never rejects. */
  async answer(request: Request): Promise<Response> {
    const { assets, token } = this.options;
    return await answerRequest(request, {
      assets,
      token,
      streams: ["/api/what-if"],
      answerData: (url) => this.answerData(url),
    });
  }

  private async answerData(url: URL): Promise<Response> {
    switch (url.pathname) {
      case "/api/recording": {
        const { answers, name, head, names } = this.options;
        return Response.json({
          name,
          head,
          policies: VICTIM_POLICIES,
          fields: { user: USER_FIELDS, kill: KILL_FIELDS },
          names: Object.fromEntries(names),
          answer: await answers.answer(NO_QUESTION),
        });
      }
      case "/api/what-if":
        return this.stream(readQuestion(url.searchParams));
      default:
        throw unknownPath(url);
    }
  }

  /** Ends the replay when the page has gone, or asks something else. */
  private stream(question: Question): Response {
    if (this.waiting >= QUESTIONS_MAX) throw new Refusal(503, "too many questions wait");
    this.waiting++;
    let isGone = false;
    const body = new ReadableStream<Uint8Array>({
      start: async (controller) => {
        const onProgress = (share: number): void => {
          if (isGone) throw new Error("the page has gone");
          // Who does not read is not written to.
          if ((controller.desiredSize ?? 0) > 0) {
            controller.enqueue(message("progress", String(share)));
          }
        };
        try {
          const answer = await this.options.answers.answer(question, onProgress);
          if (!isGone) controller.enqueue(message("answer", JSON.stringify(answer)));
        } catch (error) {
          if (!isGone) {
            controller.enqueue(
              message("problem", JSON.stringify({ problem: (error as Error).message })),
            );
          }
        } finally {
          this.waiting--;
          if (!isGone) controller.close();
        }
      },
      cancel: () => {
        isGone = true;
      },
    });
    const headers = { "content-type": "text/event-stream", "x-accel-buffering": "no" };
    return new Response(body, { headers });
  }
}
