// Made by gatehouse login. Yarn asks it for the header of requests to a registry.
const {execFile} = require("child_process");

const registry = REGISTRY;
const [program, ...args] = COMMAND;

// Yarn asks for each request, and a token lives for minutes at least. So an answer
// is used for a while, and requests that come in the meantime wait for it.
const keep = 60 * 1000;
let asked = 0;
let answer;

const ask = () => {
  const now = performance.now();
  if (!answer || now - asked > keep) {
    asked = now;
    answer = new Promise((resolve, reject) => {
      execFile(program, args, {windowsHide: true}, (error, stdout, stderr) => {
        // No stack: Yarn would show it instead of the message.
        if (error) reject(Object.assign(new Error(stderr.trim() || error.message), {stack: ""}));
        else resolve(stdout.trim());
      });
    });
    answer.catch(() => { answer = undefined; });
  }
  return answer;
};

module.exports = {
  name: NAME,
  factory: () => ({
    hooks: {
      getNpmAuthenticationHeader: async (header, address) =>
        address.replace(/\/$/, "") === registry ? ask() : header,
    },
  }),
};
