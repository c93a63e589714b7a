import type { MetricName } from "../metrics.ts";

/** One of LongBench's datasets: how it is asked, answered and scored. */
export interface Dataset {
  readonly language: "en" | "zh" | "code";
  readonly metric: MetricName;
  /** Tokens of an answer at most. */
  readonly maxTokens: number;
  /** Whether the prompt is a chat message; few-shot examples and code are continued as they are. */
  readonly chat: boolean;
  /** Whether only a prediction's first line is scored. */
  readonly firstLine?: true;
  /** Whether the answer ends with its first line. */
  readonly oneLine?: true;
  /** Its name in the paper's table of average prompt lengths, where it is there. */
  readonly shortName?: string;
  /** The prompt in our own words, with `{context}` and `{input}`; the published ones are given by `--prompts`. */
  readonly template: string;
}

const QUESTION = "\n\nQuestion: {input}\nAnswer:";
const PASSAGES = `The passages below hold what is needed to answer the question after them.\n\n{context}\n\nAnswer with a few words and nothing else.${QUESTION}`;

/**
 * LongBench v1 (Bai et al., arXiv 2308.14508): 21 datasets, English, Chinese and code. Metrics, lengths of answers, which
 * are chats and which are cut to a line are those of its repository (THUDM/LongBench, pred.py and eval.py).
 */
export const DATASETS: Readonly<Record<string, Dataset>> = {
  narrativeqa: {
    language: "en",
    metric: "qa-f1",
    maxTokens: 128,
    chat: true,
    shortName: "NrtvQA",
    template: `Read this story or film script; a question about it follows.\n\n{context}\n\nReply with the shortest phrase that answers the question, without reasons.${QUESTION}`,
  },
  qasper: {
    language: "en",
    metric: "qa-f1",
    maxTokens: 128,
    chat: true,
    shortName: "Qasper",
    template: `Read this research paper; a question about it follows.\n\n{context}\n\nReply with a phrase or one sentence from what the paper says. If it does not say, reply "unanswerable"; to a question of yes or no, reply "yes", "no" or "unanswerable".${QUESTION}`,
  },
  multifieldqa_en: {
    language: "en",
    metric: "qa-f1",
    maxTokens: 64,
    chat: true,
    shortName: "MF-en",
    template: `Read this text and answer the question after it in few words.\n\n{context}${QUESTION}`,
  },
  multifieldqa_zh: {
    language: "zh",
    metric: "qa-f1-zh",
    maxTokens: 64,
    chat: true,
    template:
      "下面是一篇文章，后面有一个问题。\n\n{context}\n\n请用简短的话回答。\n问题：{input}\n答案：",
  },
  hotpotqa: {
    language: "en",
    metric: "qa-f1",
    maxTokens: 32,
    chat: true,
    shortName: "HotpotQA",
    template: PASSAGES,
  },
  "2wikimqa": {
    language: "en",
    metric: "qa-f1",
    maxTokens: 32,
    chat: true,
    shortName: "2WikiMQA",
    template: PASSAGES,
  },
  musique: {
    language: "en",
    metric: "qa-f1",
    maxTokens: 32,
    chat: true,
    shortName: "Musique",
    template: PASSAGES,
  },
  dureader: {
    language: "zh",
    metric: "rouge-l-zh",
    maxTokens: 128,
    chat: true,
    template:
      "下面是几篇文章，后面有一个问题。\n\n{context}\n\n请根据文章回答。\n问题：{input}\n答案：",
  },
  gov_report: {
    language: "en",
    metric: "rouge-l",
    maxTokens: 512,
    chat: true,
    shortName: "GovReport",
    template:
      "Here is a report of a government agency.\n\n{context}\n\nSum up the report on one page.\n\nSummary:",
  },
  qmsum: {
    language: "en",
    metric: "rouge-l",
    maxTokens: 512,
    chat: true,
    shortName: "QMSum",
    template:
      "Here is what was said in a meeting.\n\n{context}\n\nReply to the request below in one or more sentences.\nRequest: {input}\nReply:",
  },
  multi_news: {
    language: "en",
    metric: "rouge-l",
    maxTokens: 512,
    chat: true,
    shortName: "MultiNews",
    template:
      "Here are several news articles.\n\n{context}\n\nSum up all of them on one page.\n\nSummary:",
  },
  vcsum: {
    language: "zh",
    metric: "rouge-l-zh",
    maxTokens: 512,
    chat: true,
    template: "下面是一次会议的记录。\n\n{context}\n\n请总结这次会议的内容。\n总结：",
  },
  trec: {
    language: "en",
    metric: "classification",
    maxTokens: 64,
    chat: false,
    firstLine: true,
    shortName: "TREC",
    template:
      "Each question below is followed by its type. Give the type of the last one.\n\n{context}\n{input}",
  },
  triviaqa: {
    language: "en",
    metric: "qa-f1",
    maxTokens: 32,
    chat: false,
    firstLine: true,
    shortName: "TriviaQA",
    template:
      "Each passage below is followed by a question and a short answer. Answer the last question.\n\n{context}\n\n{input}",
  },
  samsum: {
    language: "en",
    metric: "rouge-l",
    maxTokens: 128,
    chat: false,
    firstLine: true,
    oneLine: true,
    shortName: "SAMSum",
    template:
      "Each dialogue below is followed by a summary of it. Sum up the last one.\n\n{context}\n\n{input}",
  },
  lsht: {
    language: "zh",
    metric: "classification",
    maxTokens: 64,
    chat: false,
    firstLine: true,
    template: "下面每条新闻后面是它的类别。请给出最后一条新闻的类别。\n\n{context}\n{input}",
  },
  passage_count: {
    language: "en",
    metric: "count",
    maxTokens: 32,
    chat: true,
    shortName: "PCount",
    template:
      "The numbered paragraphs below may repeat each other. How many different ones are there?\n\n{context}\n\nReply with the number alone, such as 3 or 17.\n\nNumber of different paragraphs:",
  },
  passage_retrieval_en: {
    language: "en",
    metric: "retrieval",
    maxTokens: 32,
    chat: true,
    shortName: "PRe",
    template:
      'Below are numbered paragraphs, and after them a summary of one of them.\n\n{context}\n\nSummary: {input}\n\nWhich paragraph is it of? Reply in the form "Paragraph 4".\n\nReply:',
  },
  passage_retrieval_zh: {
    language: "zh",
    metric: "retrieval-zh",
    maxTokens: 32,
    chat: true,
    template:
      "下面是编了号的段落，后面是其中一段的摘要。\n\n{context}\n\n摘要：{input}\n\n这是哪一段的摘要？请按“段落4”的格式回答。\n回答：",
  },
  lcc: {
    language: "code",
    metric: "code-similarity",
    maxTokens: 64,
    chat: false,
    shortName: "Lcc",
    template: "Write the line of code that comes next.\n{context}Next line:\n",
  },
  "repobench-p": {
    language: "code",
    metric: "code-similarity",
    maxTokens: 64,
    chat: false,
    shortName: "RB-P",
    template: "Write the line of code that comes next.\n{context}{input}Next line:\n",
  },
};
