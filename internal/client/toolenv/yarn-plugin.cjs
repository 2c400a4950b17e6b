// Made by gatehouse for one command. Adds registries to Yarn's configuration,
// whatever else a project's .yarnrc.yml has.
const registries = REGISTRIES; // address: the variable that has the token
const scopes = SCOPES; // name: address

module.exports = {
  name: "@gatehouse/plugin-registries",
  factory: require => {
    const {Configuration} = require("@yarnpkg/core");
    const {useWithSource} = Configuration.prototype;
    // Yarn calls it for each place that it reads settings from, those of variables
    // and files after its plug-ins have come.
    Configuration.prototype.useWithSource = function (...args) {
      const result = useWithSource.apply(this, args);
      const add = (setting, name, values) => {
        const map = this.values.get(setting);
        if (map) map.set(name, new Map([...(map.get(name) ?? []), ...Object.entries(values)]));
      };
      for (const [address, variable] of Object.entries(registries))
        add("npmRegistries", address, {npmAuthToken: process.env[variable], npmAuthIdent: null, npmAlwaysAuth: true});
      for (const [name, address] of Object.entries(scopes))
        add("npmScopes", name, {npmRegistryServer: address, npmAuthToken: null, npmAuthIdent: null});
      return result;
    };
    return {};
  },
};
