output "name" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.id
}

output "arn" {
  description = "ARN of the bucket."
  value       = aws_s3_bucket.this.arn
}

output "expire" {
  description = "Days after which objects expire, by the first part of their key, as the bucket was told."
  value = {
    for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.filter[0].prefix => rule.expiration[0].days
    if startswith(rule.id, "expire-")
  }
}
