"""The table of prices that holds where the Price List API is not asked or does not answer."""

# US dollars, as commonly quoted for eu-west-3; not read from the Price List API.
PRICES_DATE = "2026-09"
TABLE_REGION = "eu-west-3"
# For an hour of one m5.xlarge: EC2 on demand, and the EMR surcharge.
EC2_USD_PER_HOUR = 0.224
EMR_USD_PER_HOUR = 0.048
# By instance type, EC2 and EMR. m5 costs in proportion to its size.
INSTANCE_PRICES = {
    f"m5.{size}xlarge": (EC2_USD_PER_HOUR * times, EMR_USD_PER_HOUR * times)
    for size, times in (("", 1), ("2", 2), ("4", 4))
}
# gp2, the dearer of the two kinds that EMR attaches; gp3 is quoted as 0.0928.
EBS_USD_PER_GIGABYTE_MONTH = 0.116
# Each node has a public address, for there is no NAT gateway; as announced by AWS for all regions from 2024-02 on.
IPV4_USD_PER_HOUR = 0.005
# EMR Serverless on x86, for a vCPU-hour and a gigabyte-hour of memory, as public tools of 2026 quote it for eu-west-3.
# The 20 GB of disk that each worker has are free.
VCPU_USD_PER_HOUR = 0.06318
GIGABYTE_USD_PER_HOUR = 0.00689
# Glue, for a DPU-hour of a Spark job, as public tools of 2026 quote it for most regions.
DPU_USD_PER_HOUR = 0.44
# DBUs that an m5.xlarge takes in an hour without Photon, as Databricks' public calculator shows them. That other nodes
# take them in proportion to their size is assumed.
DBUS_DATE = "2026-09"
DBUS_PER_XLARGE = 0.69
