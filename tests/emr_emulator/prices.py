"""The Price List API's answers for a few instance types, which moto does not have."""

import json
from typing import Any

# US dollars an hour, as commonly quoted: EC2 on demand (Linux), and EMR's own fee.
PRICES = {
    "m5.xlarge": (0.224, 0.048),
    "m5.2xlarge": (0.448, 0.096),
    "m5.4xlarge": (0.896, 0.192),
    "c5.xlarge": (0.202, 0.043),
    "r5.xlarge": (0.296, 0.063),
    "m6g.xlarge": (0.18, 0.039),
}
# For a vCPU-hour and a gigabyte-hour of EMR Serverless.
WORKERS = {"EMR-SERVERLESS-vCPUHours": 0.06318, "EMR-SERVERLESS-MemoryGBHours": 0.00689}
# For a DPU-hour of Glue.
DPU_HOUR = 0.44
LOCATIONS = {"eu-west-3": ("EU (Paris)", "EUW3"), "eu-west-1": ("EU (Ireland)", "EU")}


def get_products(request: dict[str, Any]) -> dict[str, Any]:
    """Answers GetProducts.

    Args:
        request: As in boto3: ServiceCode and Filters.
    """
    products = [
        product
        for region in LOCATIONS
        for product in (
            *(one for kind in PRICES for one in (_ec2(kind, region), _emr(kind, region))),
            *(_worker(usage, region) for usage in WORKERS),
            _dpu(region),
        )
        if product["serviceCode"] == request.get("ServiceCode")
        and all(_matches(product, one["Field"], one["Value"]) for one in request.get("Filters", []))
    ]
    return {"FormatVersion": "aws_v1", "PriceList": [json.dumps(product) for product in products]}


def _matches(product: dict[str, Any], field: str, value: str) -> bool:
    attributes = {
        "ServiceCode": product["serviceCode"],
        "productFamily": product["product"]["productFamily"],
        **product["product"]["attributes"],
    }
    return str(attributes.get(field, "")).lower() == value.lower()


def _ec2(kind: str, region: str) -> dict[str, Any]:
    location, prefix = LOCATIONS[region]
    attributes = {
        "servicecode": "AmazonEC2", "servicename": "Amazon Elastic Compute Cloud", "instanceType": kind,
        "regionCode": region, "location": location, "locationType": "AWS Region", "operatingSystem": "Linux",
        "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used", "marketoption": "OnDemand",
        "licenseModel": "No License required", "operation": "RunInstances", "usagetype": f"{prefix}-BoxUsage:{kind}",
        "currentGeneration": "Yes", "vcpu": "4", "memory": "16 GiB",
    }  # fmt: skip
    return _product("AmazonEC2", "Compute Instance", attributes, PRICES[kind][0], f"{region}{kind}ec2")


def _emr(kind: str, region: str) -> dict[str, Any]:
    location, prefix = LOCATIONS[region]
    attributes = {
        "servicecode": "ElasticMapReduce", "servicename": "Amazon Elastic MapReduce", "instanceType": kind,
        "regionCode": region, "location": location, "locationType": "AWS Region", "softwareType": "EMR",
        "instanceFamily": "General purpose", "operation": "", "usagetype": f"{prefix}-BoxUsage:{kind}",
    }  # fmt: skip
    return _product(
        "ElasticMapReduce", "Elastic Map Reduce Instance", attributes, PRICES[kind][1], f"{region}{kind}emr"
    )


def _worker(usage: str, region: str) -> dict[str, Any]:
    location, prefix = LOCATIONS[region]
    attributes = {
        "servicecode": "ElasticMapReduce", "servicename": "Amazon Elastic MapReduce", "regionCode": region,
        "location": location, "locationType": "AWS Region", "usagetype": f"{prefix}-{usage}", "operation": "",
    }  # fmt: skip
    return _product("ElasticMapReduce", "EMR Serverless", attributes, WORKERS[usage], f"{region}{usage}")


def _dpu(region: str) -> dict[str, Any]:
    location, prefix = LOCATIONS[region]
    attributes = {
        "servicecode": "AWSGlue", "servicename": "AWS Glue", "regionCode": region, "location": location,
        "locationType": "AWS Region", "usagetype": f"{prefix}-ETL-DPU-Hour", "operation": "Jobrun",
        "group": "ETL Job run",
    }  # fmt: skip
    return _product("AWSGlue", "AWS Glue", attributes, DPU_HOUR, f"{region}dpu")


def _product(service: str, family: str, attributes: dict[str, str], usd: float, seed: str) -> dict[str, Any]:
    sku = "".join(character for character in seed.upper() if character.isalnum())[:16].ljust(16, "X")
    term, rate = "JRTCKXETXF", "6YS6EN2CT7"
    dimension = {
        "rateCode": f"{sku}.{term}.{rate}",
        "unit": "Hrs",
        "beginRange": "0",
        "endRange": "Inf",
        "description": f"${usd} per hour of {attributes.get('instanceType', attributes['usagetype'])}",
        "appliesTo": [],
        "pricePerUnit": {"USD": f"{usd:.10f}"},
    }
    offer = {
        "sku": sku,
        "offerTermCode": term,
        "effectiveDate": "2026-10-01T00:00:00Z",
        "termAttributes": {},
        "priceDimensions": {dimension["rateCode"]: dimension},
    }
    return {
        "product": {"productFamily": family, "attributes": attributes, "sku": sku},
        "serviceCode": service,
        "terms": {"OnDemand": {f"{sku}.{term}": offer}},
        "version": "20261101000000",
        "publicationDate": "2026-11-01T00:00:00Z",
    }
