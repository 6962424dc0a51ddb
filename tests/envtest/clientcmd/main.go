// Reads cases from stdin, one object per line, and prints client-go's resolution of each kubeconfig: server, trusted
// authorities, credentials and proxy. src/cluster/tests/clientcmd.rs compares it with ours.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sort"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http/httpproxy"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/transport"
)

type kase struct {
	Paths   []string          `json:"paths"`
	Context string            `json:"context"`
	Cluster string            `json:"cluster"`
	User    string            `json:"user"`
	Env     map[string]string `json:"env"`
}

type plugin struct {
	Command     string   `json:"command"`
	Args        []string `json:"args"`
	Env         []string `json:"env"`
	APIVersion  string   `json:"apiVersion"`
	Mode        string   `json:"interactiveMode"`
	ClusterInfo bool     `json:"provideClusterInfo"`
}

type answer struct {
	Server      string   `json:"server"`
	Namespace   string   `json:"namespace"`
	Insecure    bool     `json:"insecure"`
	ServerName  string   `json:"serverName"`
	Authorities []string `json:"authorities"`
	Certificate []string `json:"certificate"`
	Headers     []string `json:"headers"`
	Plugin      *plugin  `json:"plugin"`
	Proxy       string   `json:"proxy"`
}

// recorder records the request instead of sending it.
type recorder struct{ headers []string }

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	for name, values := range request.Header {
		for _, value := range values {
			// As net/http checks before it sends a request.
			if !httpguts.ValidHeaderFieldValue(value) {
				return nil, errors.New("invalid header field value")
			}
			if name == "Authorization" || strings.HasPrefix(name, "Impersonate-") {
				r.headers = append(r.headers, strings.ToLower(name)+": "+value)
			}
		}
	}
	sort.Strings(r.headers)
	return &http.Response{StatusCode: 200, Body: io.NopCloser(bytes.NewReader(nil)), Request: request}, nil
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

func fingerprints(data []byte) []string {
	found := []string{}
	for len(data) > 0 {
		var block *pem.Block
		block, data = pem.Decode(data)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" || len(block.Headers) != 0 {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err == nil {
			found = append(found, fingerprint(block.Bytes))
		}
	}
	return found
}

func content(data []byte, file string) ([]byte, error) {
	if len(data) > 0 || file == "" {
		return data, nil
	}
	return os.ReadFile(file)
}

func resolve(k kase) (*answer, error) {
	rules := &clientcmd.ClientConfigLoadingRules{Precedence: k.Paths}
	overrides := &clientcmd.ConfigOverrides{CurrentContext: k.Context}
	overrides.Context.Cluster = k.Cluster
	overrides.Context.AuthInfo = k.User
	loaded := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	config, err := loaded.ClientConfig()
	if err != nil {
		return nil, err
	}
	namespace, _, err := loaded.Namespace()
	if err != nil {
		return nil, err
	}
	server, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	out := &answer{Server: strings.TrimSuffix(server.String(), "/"), Namespace: namespace, Authorities: []string{}, Certificate: []string{}}
	if exec := config.ExecProvider; exec != nil && config.BearerToken == "" && config.BearerTokenFile == "" &&
		config.Username == "" && config.CertFile == "" && len(config.CertData) == 0 {
		mode := string(exec.InteractiveMode)
		out.Plugin = &plugin{exec.Command, append([]string{}, exec.Args...), []string{}, exec.APIVersion, mode, exec.ProvideClusterInfo}
		for _, env := range exec.Env {
			out.Plugin.Env = append(out.Plugin.Env, env.Name+"="+env.Value)
		}
	}
	conf, err := config.TransportConfig()
	if err != nil {
		return nil, err
	}
	// Not run: the output of plugins is not compared.
	if config.ExecProvider != nil {
		conf.WrapTransport = nil
	}
	if _, err := transport.TLSConfigFor(conf); err != nil {
		return nil, err
	}
	authorities, err := content(config.CAData, config.CAFile)
	if err != nil {
		return nil, err
	}
	certificate, err := content(config.CertData, config.CertFile)
	if err != nil {
		return nil, err
	}
	out.Insecure, out.ServerName = config.Insecure, config.ServerName
	out.Authorities, out.Certificate = fingerprints(authorities), fingerprints(certificate)
	seen := &recorder{}
	round, err := transport.HTTPWrappersForConfig(conf, seen)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequest("GET", server.String(), nil)
	if err != nil {
		return nil, err
	}
	if _, err := round.RoundTrip(request); err != nil {
		return nil, err
	}
	out.Headers = append([]string{}, seen.headers...)
	environment := &httpproxy.Config{
		HTTPProxy: first(k.Env, "HTTP_PROXY"), HTTPSProxy: first(k.Env, "HTTPS_PROXY"), NoProxy: first(k.Env, "NO_PROXY"),
	}
	var proxy *url.URL
	if config.Proxy != nil {
		proxy, err = config.Proxy(request)
	} else {
		proxy, err = environment.ProxyFunc()(request.URL)
	}
	if err != nil {
		return nil, err
	}
	if proxy != nil {
		out.Proxy = strings.TrimSuffix(proxy.String(), "/")
	}
	return out, nil
}

func first(env map[string]string, name string) string {
	if value := env[name]; value != "" {
		return value
	}
	return env[strings.ToLower(name)]
}

func main() {
	os.Unsetenv("KUBERNETES_SERVICE_HOST")
	in := bufio.NewReader(os.Stdin)
	decoder := json.NewDecoder(in)
	for {
		var k kase
		if err := decoder.Decode(&k); err == io.EOF {
			return
		} else if err != nil {
			panic(err)
		}
		out, err := resolve(k)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		line, err := json.Marshal(out)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(line))
	}
}
