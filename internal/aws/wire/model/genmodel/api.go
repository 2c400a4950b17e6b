package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// source is the last release of the first SDK. It will not change any more.
const source = "github.com/aws/aws-sdk-go@v1.55.8"

// An api is what genmodel reads of an api-2.json file.
type api struct {
	Metadata struct {
		APIVersion     string `json:"apiVersion"`
		EndpointPrefix string `json:"endpointPrefix"`
		Protocol       string `json:"protocol"`
		SigningName    string `json:"signingName"`
		TargetPrefix   string `json:"targetPrefix"`
		XMLNamespace   string `json:"xmlNamespace"`
	} `json:"metadata"`
	Operations map[string]*apiOperation `json:"operations"`
	Shapes     map[string]*apiShape     `json:"shapes"`
}

type apiOperation struct {
	HTTP struct {
		Method     string `json:"method"`
		RequestURI string `json:"requestUri"`
	} `json:"http"`
	Input  *apiRef `json:"input"`
	Output *apiRef `json:"output"`
}

type apiRef struct {
	Shape        string `json:"shape"`
	Location     string `json:"location"`
	LocationName string `json:"locationName"`
}

type apiShape struct {
	Type      string             `json:"type"`
	Members   map[string]*apiRef `json:"members"`
	Payload   string             `json:"payload"`
	Member    *apiRef            `json:"member"`
	Key       *apiRef            `json:"key"`
	Value     *apiRef            `json:"value"`
	Enum      []string           `json:"enum"`
	Pattern   string             `json:"pattern"`
	Min       *float64           `json:"min"`
	Max       *float64           `json:"max"`
	Sensitive bool               `json:"sensitive"`
	Exception bool               `json:"exception"`
	Fault     bool               `json:"fault"`
	Error     struct {
		HTTPStatusCode int `json:"httpStatusCode"`
	} `json:"error"`
}

// download returns the folder of the first SDK's module, which is not a
// requirement of this module and need not be: nothing is compiled from it.
func download() (string, error) {
	out, err := exec.Command("go", "mod", "download", "-json", source).Output()
	if err != nil {
		return "", fmt.Errorf("download %s: %w", source, err)
	}
	var mod struct{ Dir string }
	if err := json.Unmarshal(out, &mod); err != nil {
		return "", fmt.Errorf("download %s: %w", source, err)
	}
	return mod.Dir, nil
}

// readAPI reads the API model of a service.
func readAPI(dir, service string) (*api, error) {
	files, err := filepath.Glob(filepath.Join(dir, "models", "apis", service, "*", "api-2.json"))
	if err != nil {
		return nil, err
	}
	if len(files) != 1 {
		return nil, fmt.Errorf("%d versions of the model, want one", len(files))
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		return nil, err
	}
	a := new(api)
	if err := json.Unmarshal(raw, a); err != nil {
		return nil, fmt.Errorf("%s: %w", files[0], err)
	}
	return a, nil
}
