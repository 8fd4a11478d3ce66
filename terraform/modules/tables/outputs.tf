output "names" {
  description = "Names of the tables."
  value = {
    jobs        = aws_dynamodb_table.jobs.name
    completions = aws_dynamodb_table.completions.name
    leases      = aws_dynamodb_table.leases.name
    assets      = aws_dynamodb_table.assets.name
  }
}

output "arns" {
  description = "ARNs of the tables."
  value = {
    jobs        = aws_dynamodb_table.jobs.arn
    completions = aws_dynamodb_table.completions.arn
    leases      = aws_dynamodb_table.leases.arn
    assets      = aws_dynamodb_table.assets.arn
  }
}
