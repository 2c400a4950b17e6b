// Made by gatehouse login. Yarn asks it for the header of requests to a registry.
const {execFile} = require("child_process");

const registry = REGISTRY;
const [program, ...args] = COMMAND;

// Every request asks, and tokens are good for minutes at least: one answer serves
// for a while, and whoever comes meanwhile waits for it too.
const keep = 60 * 1000;
let asked = 0;
let answer;

const ask = () => {
  const now = performance.now();
  if (!answer || now - asked > keep) {
    asked = now;
    answer = new Promise((resolve, reject) => {
      execFile(program, args, {windowsHide: true}, (error, stdout, stderr) => {
        // Without a stack, which Yarn would show instead of the message.
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
