"""`paddock operator`: the operator process; its settings come from options or the environment."""

import asyncio
import os
import socket

import click

import paddock.lean  # noqa: F401 - acts when it is imported, before what comes next
from paddock.run import run_operator
from paddock.settings import Exposure, HardwareDefaults, Images, Settings, SourcePolicy
from paddock.telemetry.logs import configure


@click.command("operator", context_settings={"auto_envvar_prefix": "PADDOCK"})
@click.option("--namespace", help="Serve this one namespace; all namespaces by default.")
@click.option("--operator-namespace", default="paddock-system", show_default=True)
@click.option("--operator-image", help="Image of the pull Jobs; by default this release's.")
@click.option("--image-registry", help="A mirror: replaces the host of engines' default images.")
@click.option("--ollama-image", help="Replaces Ollama's official image.")
@click.option("--llama-cpp-image", help="Replaces llama.cpp's official image.")
@click.option("--vllm-image", help="Replaces vLLM's official image.")
@click.option("--envoy-image", help="Replaces Envoy's official image.")
@click.option("--parent-gateway", help="NAMESPACE/NAME of the Gateway that HTTPRoutes go to.")
@click.option("--controller-namespace", multiple=True, help="May ask gateways that are exposed.")
@click.option("--inference-extension", is_flag=True, help="Pools may be exported to it.")
@click.option("--cluster-domain", default=Settings().cluster_domain, show_default=True)
@click.option("--collector-image", help="Replaces the OpenTelemetry Collector's own image.")
@click.option("--allow-host", multiple=True, help="Only these hosts may be pulled from.")
@click.option("--allow-cidr", multiple=True, help="A private range that may be pulled from.")
@click.option("--allow-http", is_flag=True, help="Pulls may use plain http.")
@click.option("--hf-endpoint", default=SourcePolicy().hf_endpoint, show_default=True)
@click.option("--ollama-registry", default=SourcePolicy().ollama_registry, show_default=True)
@click.option("--gpu-type-label", default=Settings().gpu_type_label, show_default=True)
@click.option("--gpu-resource", default=HardwareDefaults().gpu_resource, show_default=True)
@click.option("--gpu-runtime-class", help="RuntimeClass of pools with GPUs that name none.")
@click.option("--priority-class", help="PriorityClass of pools that name none.")
@click.option("--health-port", default=Settings().health_port, show_default=True)
@click.option("--writes-per-second", default=Settings().writes_per_second, show_default=True)
@click.option(
    "--otlp-endpoint",
    envvar=["PADDOCK_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"],
    help="Base URL of the OTLP/HTTP receiver of the operator's own spans and metrics.",
)
@click.option("--kubeconfig", type=click.Path(exists=True), help="By default the pod's account.")
def operator(  # noqa: PLR0913 - one parameter per documented option
    *,
    namespace: str | None,
    operator_namespace: str,
    operator_image: str | None,
    image_registry: str | None,
    ollama_image: str | None,
    llama_cpp_image: str | None,
    vllm_image: str | None,
    envoy_image: str | None,
    parent_gateway: str | None,
    controller_namespace: tuple[str, ...],
    inference_extension: bool,
    cluster_domain: str,
    collector_image: str | None,
    allow_host: tuple[str, ...],
    allow_cidr: tuple[str, ...],
    allow_http: bool,
    hf_endpoint: str,
    ollama_registry: str,
    gpu_type_label: str,
    gpu_resource: str,
    gpu_runtime_class: str | None,
    priority_class: str | None,
    health_port: int,
    writes_per_second: float,
    otlp_endpoint: str | None,
    kubeconfig: str | None,
) -> None:
    """Run the operator until it is told to end."""
    configure()
    settings = Settings(
        namespace=namespace,
        operator_namespace=operator_namespace,
        identity=f"{socket.gethostname()}_{os.getpid()}",
        gpu_type_label=gpu_type_label,
        cluster_domain=cluster_domain,
        health_port=health_port,
        writes_per_second=writes_per_second,
        otlp_endpoint=otlp_endpoint,
        source=SourcePolicy(
            allowed_hosts=allow_host,
            allowed_cidrs=allow_cidr,
            allow_http=allow_http,
            hf_endpoint=hf_endpoint,
            ollama_registry=ollama_registry,
        ),
        hardware=HardwareDefaults(gpu_resource, gpu_runtime_class, priority_class),
        exposure=Exposure(parent_gateway, controller_namespace, inference_extension),
        images=Images(
            operator=operator_image or Images().operator,
            registry=image_registry,
            ollama=ollama_image,
            llama_cpp=llama_cpp_image,
            vllm=vllm_image,
            envoy=envoy_image,
            collector=collector_image,
        ),
    )
    asyncio.run(run_operator(settings, kubeconfig))
