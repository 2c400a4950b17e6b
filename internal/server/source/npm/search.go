package npm

import (
	"encoding/json"
	"net/url"
	"strconv"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm/packument"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// searchPlace is the place of the results of a search (npm docs, "REGISTRY-API").
func searchPlace(q packages.RemoteSearch) *source.DocumentPlace {
	query := url.Values{"text": {q.Text}, "from": {strconv.Itoa(q.From)}, "size": {strconv.Itoa(q.Size)}}
	return &source.DocumentPlace{Path: "-/v1/search?" + query.Encode(), Accept: mediaType, Types: []string{mediaType}, Read: readSearch}
}

// readSearch makes hits of an answer. What cannot be the name of a package is left out.
func readSearch(body []byte) ([]byte, error) {
	var answer struct {
		Objects []struct {
			Package packument.Found `json:"package"`
		} `json:"objects"`
		Total int `json:"total"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Objects == nil {
		return nil, &source.BadAnswer{What: "it is not the answer to a search", Err: err}
	}
	found := packages.RemoteHits{Total: max(answer.Total, len(answer.Objects)), Hits: []packages.RemoteHit{}}
	for _, o := range answer.Objects {
		id, ok := packument.ParseName(o.Package.Name)
		if !ok {
			continue
		}
		about, err := json.Marshal(o.Package)
		if err != nil {
			return nil, err
		}
		found.Hits = append(found.Hits, packages.RemoteHit{Package: id, About: about})
	}
	return json.Marshal(found)
}
