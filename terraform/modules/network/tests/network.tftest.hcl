mock_provider "aws" {}

variables {
  name        = "segue"
  region      = "us-east-1"
  zones       = ["us-east-1a", "us-east-1b"]
  kms_key_arn = "arn:aws:kms:us-east-1:111122223333:key/00000000-0000-0000-0000-000000000000"
}

run "no_way_in" {
  command = plan

  assert {
    condition     = length(aws_internet_gateway.this) == 0 && length(aws_nat_gateway.this) == 0 && length(aws_subnet.public) == 0
    error_message = "with endpoints there is no way to the internet"
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.private : subnet.map_public_ip_on_launch != true])
    error_message = "a worker gets a public address"
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.workers.from_port == 443 && aws_vpc_security_group_egress_rule.workers.to_port == 443
    error_message = "workers speak TLS alone"
  }

  # the only rule that lets anything in is the endpoints' own, from the workers
  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.endpoints) == 1 && aws_vpc_security_group_ingress_rule.endpoints[0].cidr_ipv4 == null
    error_message = "somebody is let in"
  }

  assert {
    condition     = keys(aws_vpc_endpoint.gateway) == ["dynamodb", "s3"] && length(setsubtract(["sqs", "kms", "logs", "ecr.api", "ecr.dkr"], keys(aws_vpc_endpoint.interface))) == 0
    error_message = "workers do not reach what they need"
  }

  assert {
    condition     = length(distinct([for subnet in aws_subnet.private : subnet.cidr_block])) == 2
    error_message = "subnets overlap"
  }
}

run "by_nat" {
  command = plan

  variables {
    egress = "nat"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.nat) == 2 && length(aws_vpc_endpoint.interface) == 0 && length(aws_vpc_endpoint.gateway) == 2
    error_message = "one NAT for all zones; media never pass it"
  }
}

run "by_nat_in_each_zone" {
  command = plan

  variables {
    egress       = "nat"
    nat_per_zone = true
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 2 && length(aws_subnet.public) == 2
    error_message = "a NAT in each zone"
  }
}
